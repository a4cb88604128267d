"use strict";
// What every page stands on: its data, elements made of text alone, a list that draws what is seen, and the hash.
const VM = (() => {
  const parsed = {};

  function readData(name) {
    if (!(name in parsed)) {
      const element = document.getElementById("data-" + name);
      parsed[name] = element ? JSON.parse(element.textContent) : null;
      if (element) element.textContent = ""; // the text is not needed twice
    }
    return parsed[name];
  }

  // Every text of a run reaches the page through here, as text.
  function h(tag, className, ...children) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    for (const child of children) {
      if (child === null || child === undefined || child === false) continue;
      element.append(child instanceof Node ? child : document.createTextNode(String(child)));
    }
    return element;
  }

  const decode = (text) => { try { return decodeURIComponent(text); } catch { return text; } };
  const encode = (text) => encodeURIComponent(text).replace(/%20/g, "+").replace(/\+/g, "%20");
  const pages = [...document.querySelectorAll(".page")].map((page) => page.id.slice("page-".length));

  // "#samples?show=wrong" is a page, "#MMStar/17" a sample of the page that has samples
  function parse(hash) {
    const raw = hash.replace(/^#/, "");
    const cut = raw.indexOf("?");
    const path = cut < 0 ? raw : raw.slice(0, cut);
    const params = new URLSearchParams(cut < 0 ? "" : raw.slice(cut + 1));
    if (pages.includes(path)) return { page: path, sample: null, params };
    const slash = path.indexOf("/");
    const browser = pages.find((page) => document.getElementById("page-" + page).querySelector(".browser"));
    if (slash > 0 && browser) {
      return { page: browser, sample: [decode(path.slice(0, slash)), decode(path.slice(slash + 1))], params };
    }
    return { page: pages[0], sample: null, params };
  }

  function route() {
    const found = parse(location.hash);
    for (const page of pages) document.getElementById("page-" + page).hidden = page !== found.page;
    for (const link of document.querySelectorAll(".tabs a")) {
      if (link.dataset.page === found.page) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.body.dataset.page = found.page;
    document.dispatchEvent(new CustomEvent("vm:route", { detail: found }));
  }

  function replaceHash(hash) {
    history.replaceState(null, "", hash);
  }

  // Draws the rows in view of a list of any length; `draw(row, element)` fills one, all are `height` pixels high.
  class List {
    constructor(box, height, draw, choose) {
      this.box = box;
      this.height = height;
      this.draw = draw;
      this.rows = [];
      this.pool = [];
      this.space = h("div", "space");
      box.append(this.space);
      box.addEventListener("scroll", () => this.paint(), { passive: true });
      box.addEventListener("click", (event) => {
        const element = event.target.closest(".row");
        if (element) choose(Number(element.dataset.place));
      });
      new ResizeObserver(() => this.paint()).observe(box);
    }

    set(rows) {
      this.rows = rows;
      this.space.style.height = rows.length * this.height + "px";
      this.box.scrollTop = 0;
      this.paint(true);
    }

    paint(again) {
      const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - 4);
      const seen = Math.ceil(this.box.clientHeight / this.height) + 8;
      if (!again && first === this.first && seen === this.seen) return;
      this.first = first;
      this.seen = seen;
      const count = Math.max(0, Math.min(seen, this.rows.length - first));
      while (this.pool.length < count) this.pool.push(this.space.appendChild(h("div", "row")));
      this.pool.forEach((element, place) => {
        element.hidden = place >= count;
        if (place >= count) return;
        element.dataset.place = first + place;
        element.style.transform = "translateY(" + (first + place) * this.height + "px)";
        element.replaceChildren();
        this.draw(this.rows[first + place], element, first + place);
      });
    }

    show(place) {
      const top = place * this.height;
      if (top < this.box.scrollTop) this.box.scrollTop = top;
      else if (top + this.height > this.box.scrollTop + this.box.clientHeight) {
        this.box.scrollTop = top + this.height - this.box.clientHeight;
      }
      this.paint(true);
    }
  }

  // What stands before the last "</think>" is thinking, as is what follows a "<think>" that never ends.
  function parted(text) {
    const open = "<think>", close = "</think>";
    let thinking = "", answer = text;
    const end = text.lastIndexOf(close);
    if (end >= 0) {
      thinking = text.slice(0, end).replace(/^\s*<think>/, "");
      answer = text.slice(end + close.length);
    }
    const start = answer.indexOf(open);
    if (start >= 0) {
      thinking += answer.slice(start + open.length);
      answer = answer.slice(0, start);
    }
    return [thinking.trim(), answer.trim()];
  }

  function reply(text) {
    const [thinking, answer] = parted(text);
    const box = h("div", "reply");
    if (thinking) {
      const words = thinking.split(/\s+/).length.toLocaleString("en");
      box.append(h("details", "thinking", h("summary", "", "thinking, " + words + " words"), h("div", "text", thinking)));
    }
    box.append(answer ? h("div", "text answer", answer) : h("div", "text quiet", "nothing was said"));
    return box;
  }

  function mark(sample) {
    if (sample.failed) return ["!", "failed", "failed"];
    if (sample.value === null || sample.value === undefined) return ["–", "unscored", "unscored"];
    if (sample.value >= 1) return ["✓", "right", "right"];
    if (sample.value <= 0) return ["✗", "wrong", "wrong"];
    return ["◐", "partly", "partly right"];
  }

  function badge(sample) {
    const [glyph, kind, words] = mark(sample);
    const element = h("span", "mark-" + kind + " glyph", glyph);
    element.title = words;
    element.setAttribute("aria-label", words);
    return element;
  }

  const typing = (event) => event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey;

  document.addEventListener("keydown", (event) => {
    if (typing(event) || document.getElementById("help").open) return;
    const number = Number(event.key);
    if (number >= 1 && number <= pages.length) location.hash = "#" + pages[number - 1];
    else if (event.key === "?") document.getElementById("help").showModal();
    else return;
    event.preventDefault();
  });
  document.getElementById("help-button").addEventListener("click", () => document.getElementById("help").showModal());
  addEventListener("hashchange", route);
  addEventListener("DOMContentLoaded", route);
  return { readData, h, encode, replaceHash, List, reply, badge, mark, typing };
})();
