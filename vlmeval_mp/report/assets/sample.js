"use strict";
// Parts of one sample that several pages show: its media, and its question with the options or the gold.
{
  const { h } = VM;

  VM.part = (title, ...children) => h("section", "part", h("h3", "", title), ...children);

  VM.media = (these) => {
    if (!these || !these.length) return null;
    const pictures = VM.readData("pictures"), box = h("div", "media");
    for (const [id, kind, problem] of these) {
      const source = pictures[id];
      if (!source) {
        box.append(h("div", "nopicture quiet", problem || "the " + kind + " is not in this file"));
        continue;
      }
      const image = h("img", "");
      image.alt = kind === "video" ? "a frame of the video" : "picture of the sample";
      const gone = "the picture is in the folder media, which is not beside this file";
      image.addEventListener("error", () => image.replaceWith(h("div", "nopicture quiet", gone)), { once: true });
      image.addEventListener("load", () => image.classList.toggle("small", image.naturalWidth < 160), { once: true });
      image.src = source;
      const figure = h("figure", kind, image, kind === "video" && h("figcaption", "quiet", "▶ a frame of the video"));
      image.addEventListener("click", () => figure.classList.toggle("large"));
      box.append(figure);
    }
    return box;
  };

  // `said` is what was read from each reply; `names` who said it, where there are several
  VM.question = (these, at, said, names) => {
    const box = VM.part("Question", h("div", "text question", these.question[at] || "(no text)"));
    if (these.hint[at]) box.append(h("div", "text quiet", these.hint[at]));
    if (!these.options[at]) {
      box.append(h("div", "goldline", h("span", "quiet", "gold "), h("span", "text", these.gold[at] || "none")));
      return box;
    }
    const options = h("ol", "options");
    for (const [letter, text] of these.options[at]) {
      const gold = letter === these.gold[at] || text === these.gold[at];
      const taken = said.map((each, place) => each !== "" && (each === letter || each === text) ? place : -1).filter((place) => place >= 0);
      const who = taken.map((place) => h("em", "", names ? names[place] : "read from the reply"));
      options.append(h("li", (gold ? "gold " : "") + (taken.length ? "taken" : ""),
        h("b", "", letter), h("span", "text", text), gold && h("em", "", "gold"), ...who));
    }
    box.append(options);
    return box;
  };
}
