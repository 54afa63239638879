/** The colours of the style sheet, for what is drawn on canvases. */

let known = new Map();
const listeners = [];

const dark = window.matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => {
  known = new Map();
  for (const listener of listeners) listener();
});

/** Return the value of a colour variable, such as "--ink", in the theme of the moment. */
export function colour(name) {
  if (!known.has(name)) {
    known.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  }
  return known.get(name);
}

/** The colours of the two sides. */
export const SIDE_COLOURS = { left: "--c0", right: "--c1" };

const CLASS_COUNT = 6;

/** Return the colour of a class of examples; after six they repeat, told apart by their shapes. */
export const classColour = (index) => colour(`--class-${index % CLASS_COUNT}`);

/** Call a function after the theme has changed. */
export const onThemeChange = (listener) => listeners.push(listener);
