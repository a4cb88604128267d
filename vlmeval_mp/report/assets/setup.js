"use strict";
// A button on each block of text that somebody may want elsewhere.
for (const block of document.querySelectorAll("pre.copy")) {
  const button = VM.h("button", "ghost copy-button", "copy");
  const text = block.textContent;
  button.type = "button";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(block);
      button.textContent = "selected";
    }
  });
  const frame = VM.h("div", "copy-frame");
  block.replaceWith(frame);
  frame.append(block, button);
}
