/** Elements of the page, made without HTML text: whatever a server says is only ever text. */

/** Return the element with this id. */
export const byId = (id) => document.getElementById(id);

/** Return a new element; `properties` are set on it, those with a dash or "role" as attributes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "scope") {
      element.setAttribute(name, value);
    } else {
      element[name] = value;
    }
  }
  element.append(...children);
  return element;
}

/** Set the text of an element only if it differs, so that nothing is laid out again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Call `draw(width, height)` whenever the element's size changes, and once at first. */
export function onResize(element, draw) {
  new ResizeObserver(() => {
    const { clientWidth, clientHeight } = element;
    if (clientWidth > 0 && clientHeight > 0) draw(clientWidth, clientHeight);
  }).observe(element);
}

/** Size a canvas for the pixels of this screen; return its context, scaled to CSS pixels. */
export function sharpContext(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return context;
}
