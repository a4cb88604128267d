"use strict";
// The sample browser: one job at a time, filtered, and the chosen sample with everything that is known of it.
(() => {
  const { h, badge, mark, part } = VM;
  const byId = (id) => document.getElementById(id);
  const SHOWS = [
    ["all", "All", "a", () => true],
    ["wrong", "Wrong", "w", (bits) => bits & 1],
    ["failed", "Failed", "f", (bits) => bits & 2],
    ["truncated", "Truncated", "t", (bits) => bits & 4],
    ["unread", "Unread", "u", (bits) => bits & 8],
    ["empty", "Empty", "e", (bits) => bits & 16],
    ["differ", "Modes differ", "d", (bits) => bits & 32],
  ];
  const view = { job: 0, show: "all", category: "", why: "", q: "", place: -1 };
  let data = null, list = null, rows = [];

  const job = () => data.jobs[view.job];
  const set = () => data.datasets[job().d];
  const sampleAt = (row, which = job()) => ({
    place: which.s[row],
    failed: Boolean(which.flags[row] & 2),
    value: which.values[which.modes[0]][row],
  });

  function start() {
    data = VM.readData("samples");
    list = new VM.List(byId("list"), 54, drawRow, choose);
    data.jobs.forEach((each, place) => byId("job").append(option(place, each.model + "  ·  " + data.datasets[each.d].name)));
    byId("job").hidden = data.jobs.length < 2;
    byId("job").addEventListener("change", () => { openJob(Number(byId("job").value)); apply(0); });
    byId("category").addEventListener("change", () => { view.category = byId("category").value; apply(0); });
    byId("why").addEventListener("change", () => { view.why = byId("why").value; apply(0); });
    byId("search").addEventListener("input", () => { view.q = byId("search").value; apply(0, true); });
    byId("search").addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === "Escape") byId("list").focus();
    });
    for (const [name, title, key] of SHOWS) {
      const button = h("button", "chip", title + " ", h("b", "", ""));
      button.type = "button";
      button.dataset.show = name;
      button.title = "key " + key;
      button.addEventListener("click", () => { view.show = name; apply(0); });
      byId("shows").append(button);
    }
    openJob(0);
  }

  function option(value, text) {
    const element = h("option", "", text);
    element.value = value;
    return element;
  }

  function openJob(place) {
    view.job = place;
    view.category = view.why = "";
    byId("job").value = place;
    const names = [...new Set(job().s.map((at) => set().category[at]).filter(Boolean))].sort();
    byId("category").replaceChildren(option("", "every category"), ...names.map((name) => option(name, name)));
    byId("category").hidden = names.length < 2;
    const reasons = new Map();
    for (const [, error] of job().errors) reasons.set(kind(error), (reasons.get(kind(error)) || 0) + 1);
    const sorted = [...reasons].sort((a, b) => b[1] - a[1]);
    byId("why").replaceChildren(option("", "every reason"), ...sorted.map(([why, n]) => option(why, n + " × " + why)));
    job().why ||= new Map(job().errors);
    for (const button of byId("shows").children) {
      const test = SHOWS.find(([name]) => name === button.dataset.show)[3];
      const n = job().flags.reduce((sum, bits) => sum + (test(bits) ? 1 : 0), 0);
      button.lastChild.textContent = n.toLocaleString("en");
      button.classList.toggle("none", n === 0);
    }
  }

  // reasons that differ in a name, a number or a path are one reason
  const kind = (error) => error.replace(/'[^']*'|"[^"]*"/g, "…").replace(/\S*\/\S+/g, "…").replace(/\d[\d,.]*/g, "N").slice(0, 80);

  function haystack(row) {
    const each = job();
    each.lower ||= each.s.map((at, place) =>
      [set().index[at], set().question[at], set().gold[at], each.text[place], each.why.get(place) || ""].join("\n").toLowerCase());
    return each.lower[row];
  }

  // Show the rows that pass; `place` is which of them is chosen, -1 for none.
  function apply(place, quietly) {
    const test = (SHOWS.find(([name]) => name === view.show) || SHOWS[0])[3];
    const q = view.q.trim().toLowerCase();
    const each = job();
    rows = [];
    for (let row = 0; row < each.s.length; row++) {
      if (!test(each.flags[row])) continue;
      if (view.category && set().category[each.s[row]] !== view.category) continue;
      if (view.show === "failed" && view.why && kind(each.why.get(row) || "") !== view.why) continue;
      if (q && !haystack(row).includes(q)) continue;
      rows.push(row);
    }
    byId("why").hidden = view.show !== "failed" || job().errors.length === 0;
    byId("search").value = view.q;
    byId("category").value = view.category;
    byId("why").value = view.why;
    for (const button of byId("shows").children) {
      button.setAttribute("aria-pressed", button.dataset.show === view.show);
    }
    const all = each.s.length;
    byId("count").textContent = rows.length === all
      ? all.toLocaleString("en") + " samples"
      : rows.length.toLocaleString("en") + " of " + all.toLocaleString("en") + " samples";
    view.place = -1;
    list.set(rows);
    const wide = matchMedia("(min-width: 900px)").matches;
    if (rows.length === 0) byId("detail").replaceChildren(h("p", "quiet empty", "No sample is like that. Esc shows all."));
    else if (place >= 0 && (wide || !quietly) && !(place === 0 && !wide)) choose(place);
    else byId("detail").replaceChildren();
    if (view.place < 0) remember();
  }

  function drawRow(row, element, place) {
    const at = job().s[row], sample = sampleAt(row);
    element.setAttribute("role", "option");
    element.setAttribute("aria-selected", place === view.place);
    const said = job().extracted[job().modes[0]][row];
    element.append(
      badge(sample),
      h("div", "words",
        h("div", "first", h("b", "", set().index[at]), set().category[at] && h("span", "quiet", " " + set().category[at])),
        h("div", "second", set().question[at] || "(no text)")),
      h("div", "said", sample.failed ? "" : said || "∅"));
  }

  function choose(place) {
    if (place < 0 || place >= rows.length) return;
    view.place = place;
    list.show(place);
    byId("detail").replaceChildren(...detail(rows[place]));
    byId("detail").scrollTop = 0;
    document.body.classList.add("reading");
    remember();
  }

  function remember() {
    const params = new URLSearchParams();
    if (data.jobs.filter((each) => each.d === job().d).length > 1 || view.place < 0) params.set("model", job().model);
    if (view.place < 0) params.set("data", set().name);
    for (const name of ["category", "why", "q"]) if (view[name]) params.set(name, view[name]);
    if (view.show !== "all") params.set("show", view.show);
    const query = params.size ? "?" + params : "";
    if (view.place < 0) VM.replaceHash("#samples" + query);
    else VM.replaceHash("#" + VM.encode(set().name) + "/" + VM.encode(set().index[job().s[rows[view.place]]]) + query);
  }

  // --- the chosen sample ---

  function detail(row) {
    const each = job(), at = each.s[row], these = set(), sample = sampleAt(row);
    const error = each.why.get(row);
    const parts = [head(row, at, sample), models(at), VM.media(these.media[at]), question(these, at, row)];
    if (error !== undefined) parts.push(part("Failed", h("div", "text problem", error)));
    else parts.push(part("Reply", VM.reply(each.text[row])));
    parts.push(verdicts(row), facts(row));
    return parts.filter(Boolean);
  }

  function head(row, at, sample) {
    const these = set(), [, kindOf, words] = mark(sample);
    const back = h("button", "ghost back", "← list");
    back.type = "button";
    back.addEventListener("click", close);
    const link = h("a", "quiet", "link");
    link.href = location.pathname.split("/").pop() + "#" + VM.encode(these.name) + "/" + VM.encode(these.index[at]);
    link.title = "a link to this sample";
    const where = [these.category[at], these.l2[at], these.split[at]].filter(Boolean).join(" · ");
    return h("div", "detail-head", back,
      h("div", "title", h("h2", "", these.name + " / " + these.index[at]), h("span", "verdict " + kindOf, words)),
      h("div", "quiet", where, where ? " · " : "", link));
  }

  function models(at) {
    const others = data.jobs.map((each, place) => [each, place]).filter(([each]) => each.d === job().d);
    if (others.length < 2) return null;
    const line = h("div", "models");
    for (const [each, place] of others) {
      each.at ||= new Map(each.s.map((where, row) => [where, row]));
      const row = each.at.get(at);
      if (row === undefined) continue;
      const button = h("button", "chip", badge(sampleAt(row, each)), " " + each.model);
      button.type = "button";
      button.setAttribute("aria-pressed", place === view.job);
      button.addEventListener("click", () => openSample(place, at));
      line.append(button);
    }
    return line;
  }

  function openSample(place, at) {
    openJob(place);
    view.show = "all";
    view.q = "";
    apply(-1);
    const each = job();
    choose(rows.findIndex((row) => each.s[row] === at));
  }

  function question(these, at, row) {
    return VM.question(these, at, [job().extracted[job().modes[0]][row]]);
  }

  function verdicts(row) {
    const each = job(), table = h("table", "verdicts");
    table.append(h("tr", "", h("th", "", "mode"), h("th", "", "verdict"), h("th", "", "read from the reply"), h("th", "", "note")));
    for (const mode of each.modes) {
      const value = each.values[mode][row];
      const sample = { failed: Boolean(each.flags[row] & 2) && value === null, value };
      const number = value !== null && value !== 0 && value !== 1 ? " " + value : "";
      table.append(h("tr", "", h("td", "", mode), h("td", "", badge(sample), " " + mark(sample)[2] + number),
        h("td", "text", each.extracted[mode][row] || "∅"), h("td", "quiet", each.notes[mode][row])));
    }
    return part("Verdict", table);
  }

  function facts(row) {
    const each = job(), line = [];
    if (!(each.flags[row] & 2)) {
      line.push(each.prompt[row].toLocaleString("en") + " tokens in", each.completion[row].toLocaleString("en") + " out");
      if (each.finish[row]) line.push("ended by " + (each.finish[row] === "length" ? "the token limit" : each.finish[row]));
    }
    if (each.worker[row] >= 0) line.push("worker " + data.workers[each.worker[row]]);
    if (each.time[row]) line.push(new Date(each.time[row] * 1000).toISOString().replace("T", " ").slice(0, 19) + " UTC");
    if (each.source[row]) line.push("imported from " + data.sources[each.source[row] - 1]);
    return h("div", "quiet sample-facts", line.join("  ·  "));
  }

  // --- where to go ---

  function close() {
    document.body.classList.remove("reading");
    byId("list").focus({ preventScroll: true });
  }

  function follow({ page, sample, params }) {
    if (page !== "samples") return;
    if (!data) start();
    const name = sample ? sample[0] : params.get("data");
    const fits = (each) => (!name || data.datasets[each.d].name === name) && (!params.get("model") || each.model === params.get("model"));
    const found = data.jobs.findIndex(fits);
    if (found < 0 && (name || params.get("model"))) return missing(name + (sample ? "/" + sample[1] : ""));
    openJob(Math.max(0, found));
    for (const key of ["category", "why", "q"]) view[key] = params.get(key) || "";
    view.show = SHOWS.some(([key]) => key === params.get("show")) ? params.get("show") : "all";
    if (!sample) {
      document.body.classList.remove("reading");
      return apply(0);
    }
    apply(-1);
    let place = rows.findIndex((row) => set().index[job().s[row]] === sample[1]);
    if (place < 0 && rows.length < job().s.length) {
      Object.assign(view, { show: "all", category: "", why: "", q: "" });
      apply(-1);
      place = rows.findIndex((row) => set().index[job().s[row]] === sample[1]);
    }
    if (place < 0) return missing(sample.join("/"));
    choose(place);
  }

  function missing(what) {
    byId("detail").replaceChildren(h("p", "quiet empty", "This report has no sample " + what + "."));
    document.body.classList.add("reading");
  }

  document.addEventListener("vm:route", (event) => follow(event.detail));
  document.addEventListener("keydown", (event) => {
    if (document.body.dataset.page !== "samples" || !data || document.getElementById("help").open) return;
    if (event.key === "Escape") {
      if (event.target === byId("search")) byId("search").blur();
      else if (document.body.classList.contains("reading") && !matchMedia("(min-width: 900px)").matches) close();
      else { Object.assign(view, { show: "all", category: "", why: "", q: "" }); apply(0); }
      return;
    }
    if (VM.typing(event)) return;
    const filter = SHOWS.find(([, , key]) => key === event.key);
    if (filter) { view.show = filter[0]; view.why = ""; apply(0); }
    else if (event.key === "j" || event.key === "ArrowDown") choose(view.place + 1);
    else if (event.key === "k" || event.key === "ArrowUp") choose(view.place - 1);
    else if (event.key === "Enter" && view.place < 0) choose(0);
    else if (event.key === "/") byId("search").focus();
    else if (event.key === "m") nextModel();
    else return;
    event.preventDefault();
  });

  function nextModel() {
    const same = data.jobs.map((each, place) => place).filter((place) => data.jobs[place].d === job().d);
    if (same.length < 2 || view.place < 0) return;
    openSample(same[(same.indexOf(view.job) + 1) % same.length], job().s[rows[view.place]]);
  }
})();
