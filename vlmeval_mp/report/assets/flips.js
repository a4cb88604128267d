"use strict";
// Two sides of a comparison, sample by sample: which flipped, and both replies beside each other.
(() => {
  const { h, badge, part } = VM;
  const byId = (id) => document.getElementById(id);
  const differs = ([, , a, b]) => a !== b;
  const SHOWS = [
    ["flips", "Flips", "d", differs],
    ["gained", "Gained", "g", ([, , a, b]) => a !== null && b !== null && b > a],
    ["lost", "Lost", "l", ([, , a, b]) => a !== null && b !== null && b < a],
    ["wrong", "Both wrong", "w", ([, , a, b]) => a !== null && b !== null && a < 1 && b < 1],
    ["all", "All", "a", () => true],
  ];
  const view = { pair: 0, show: "flips", q: "", place: -1 };
  let data = null, pairs = null, list = null, rows = [];

  const pair = () => pairs[view.pair];
  const job = (side) => data.jobs[pair().jobs[side]];
  const at = (row, side = 0) => job(side).s[row[side]];
  const set = (side = 0) => data.datasets[job(side).d];
  const sample = (row, side) => ({ failed: Boolean(job(side).flags[row[side]] & 2), value: row[2 + side] });

  function start() {
    data = VM.readData("samples");
    pairs = VM.readData("pairs");
    list = new VM.List(byId("list"), 54, drawRow, choose);
    pairs.forEach((each, place) => {
      const option = h("option", "", each.first + " → " + each.second + "  ·  " + each.dataset);
      option.value = place;
      byId("pair").append(option);
    });
    byId("pair").addEventListener("change", () => { openPair(Number(byId("pair").value)); apply(); });
    byId("search").addEventListener("input", () => { view.q = byId("search").value; apply(); });
    byId("search").addEventListener("keydown", (event) => { if (["Enter", "Escape"].includes(event.key)) byId("list").focus(); });
    for (const [name, title, key] of SHOWS) {
      const button = h("button", "chip", title + " ", h("b", "", ""));
      button.type = "button";
      button.dataset.show = name;
      button.title = "key " + key;
      button.addEventListener("click", () => { view.show = name; apply(); });
      byId("shows").append(button);
    }
  }

  function openPair(place) {
    view.pair = place;
    byId("pair").value = place;
    for (const button of byId("shows").children) {
      const test = SHOWS.find(([name]) => name === button.dataset.show)[3];
      button.lastChild.textContent = pair().rows.filter(test).length.toLocaleString("en");
    }
  }

  function apply() {
    const test = SHOWS.find(([name]) => name === view.show)[3], q = view.q.trim().toLowerCase();
    const text = (row) => [set().index[at(row)], set().question[at(row)], job(0).text[row[0]], job(1).text[row[1]]].join("\n").toLowerCase();
    rows = pair().rows.filter((row) => test(row) && (!q || text(row).includes(q)));
    byId("search").value = view.q;
    for (const button of byId("shows").children) button.setAttribute("aria-pressed", button.dataset.show === view.show);
    byId("count").textContent = rows.length.toLocaleString("en") + " of " + pair().rows.length.toLocaleString("en") + " samples in common";
    view.place = -1;
    list.set(rows);
    if (!rows.length) byId("detail").replaceChildren(h("p", "quiet empty", "No sample is like that."));
    else if (matchMedia("(min-width: 900px)").matches) choose(0);
    else byId("detail").replaceChildren();
  }

  function drawRow(row, element, place) {
    element.setAttribute("role", "option");
    element.setAttribute("aria-selected", place === view.place);
    element.append(h("div", "two", badge(sample(row, 0)), "→", badge(sample(row, 1))),
      h("div", "words",
        h("div", "first", h("b", "", set().index[at(row)]), h("span", "quiet", " " + set().category[at(row)])),
        h("div", "second", set().question[at(row)] || "(no text)")));
  }

  function choose(place) {
    if (place < 0 || place >= rows.length) return;
    view.place = place;
    list.show(place);
    byId("detail").replaceChildren(...detail(rows[place]).filter(Boolean));
    byId("detail").scrollTop = 0;
    document.body.classList.add("reading");
    const params = new URLSearchParams({ first: pair().first, second: pair().second });
    if (view.show !== "flips") params.set("show", view.show);
    if (view.q) params.set("q", view.q);
    VM.replaceHash("#" + VM.encode(pair().dataset) + "/" + VM.encode(set().index[at(rows[place])]) + "?" + params);
  }

  function detail(row) {
    const names = [pair().first, pair().second], mode = pair().mode;
    const said = [0, 1].map((side) => job(side).extracted[mode][row[side]]);
    const back = h("button", "ghost back", "← list");
    back.type = "button";
    back.addEventListener("click", close);
    const columns = h("div", "columns");
    for (const side of [0, 1]) {
      const each = job(side), error = new Map(each.errors).get(row[side]);
      columns.append(h("div", "column",
        h("h3", "name", badge(sample(row, side)), " " + names[side]),
        error === undefined ? VM.reply(each.text[row[side]]) : h("div", "text problem", error),
        h("div", "quiet sample-facts", "read: " + (said[side] || "∅") + "  ·  " + each.completion[row[side]].toLocaleString("en") + " tokens" +
          (each.finish[row[side]] === "length" ? "  ·  ended by the token limit" : ""))));
    }
    return [h("div", "detail-head", back, h("div", "title", h("h2", "", pair().dataset + " / " + set().index[at(row)])), h("div", "quiet", set().category[at(row)])),
      VM.media(set().media[at(row)]), VM.question(set(), at(row), said, names), part("Replies", columns)];
  }

  function close() {
    document.body.classList.remove("reading");
    byId("list").focus({ preventScroll: true });
  }

  document.addEventListener("vm:route", ({ detail: { page, sample: wanted, params } }) => {
    if (page !== "flips") return;
    if (!data) start();
    if (!pairs.length) return byId("detail").replaceChildren(h("p", "quiet empty", "Nothing could be compared."));
    const name = wanted ? wanted[0] : params.get("data");
    const fits = (each) => (!name || each.dataset === name) && (!params.get("first") || each.first === params.get("first")) &&
      (!params.get("second") || each.second === params.get("second"));
    openPair(Math.max(0, pairs.findIndex(fits)));
    view.show = SHOWS.some(([key]) => key === params.get("show")) ? params.get("show") : "flips";
    view.q = params.get("q") || "";
    document.body.classList.remove("reading");
    apply();
    if (!wanted) return;
    const find = () => rows.findIndex((row) => set().index[at(row)] === wanted[1]);
    if (find() < 0) { view.show = "all"; view.q = ""; apply(); }
    choose(find());
  });

  document.addEventListener("keydown", (event) => {
    if (document.body.dataset.page !== "flips" || !data || document.getElementById("help").open) return;
    if (event.key === "Escape") return event.target === byId("search") ? byId("search").blur() : close();
    if (VM.typing(event)) return;
    const filter = SHOWS.find(([, , key]) => key === event.key);
    if (filter) { view.show = filter[0]; apply(); }
    else if (event.key === "j" || event.key === "ArrowDown") choose(view.place + 1);
    else if (event.key === "k" || event.key === "ArrowUp") choose(view.place - 1);
    else if (event.key === "/") byId("search").focus();
    else return;
    event.preventDefault();
  });
})();
