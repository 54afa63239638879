/** Copying to the clipboard, with an answer on the button. */
import { announce } from "playground/announce";

const ANSWER_MS = 1500;

/** Copy a text; the button says "Copied" for a moment, or that it could not. */
export async function copyText(text, button) {
  const before = (button.dataset.label ??= button.textContent);
  const done = (await byClipboard(text)) || bySelection(text);
  button.textContent = done ? "Copied" : "Not copied";
  announce(button.textContent);
  setTimeout(() => (button.textContent = before), ANSWER_MS);
}

async function byClipboard(text) {
  // Missing where the page is neither on this machine nor encrypted; the user may also refuse.
  if (!navigator.clipboard) return false;
  return navigator.clipboard.writeText(text).then(() => true, () => false);
}

function bySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "hidden";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
