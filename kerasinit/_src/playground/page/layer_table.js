/** The numbers of the layers as a table, for screen readers and for those who want numbers. */
import { byId, make } from "playground/elements";
import { marksOf } from "playground/layer_cells";
import { brief } from "playground/numbers";

const SIDES = ["left", "right"];
const EVERY_MS = 1000;

const theoryOf = (q) => (Number.isFinite(q) && q !== null ? brief(Math.sqrt(q)) : "–");

/** Build the table; return `{begin(started), draw(views, playing)}`. It is filled while open. */
export function buildLayerTable() {
  const details = byId("layer-numbers");
  const [head, body] = [details.querySelector("thead"), details.querySelector("tbody")];
  const heads = [
    "layer",
    ...SIDES.flatMap((side) =>
      ["activations", "theory", "gradients", "units"].map((word) => `${side}\n${word}`)),
  ];
  head.replaceChildren(
    make("tr", {}, ...heads.map((text) => make("th", { scope: "col", textContent: text }))),
  );
  let started = null;
  let views = null;
  let last = 0;

  function fill() {
    if (!views || !details.open) return;
    last = performance.now();
    const lines = started.layers.map((name, index) => {
      const cells = SIDES.flatMap((side) => {
        const layer = views[side].layers[index];
        const marks = marksOf(layer).map(({ text }) => text).join(", ");
        return [
          brief(layer.activation),
          theoryOf(started[side].theory?.[index]),
          brief(layer.gradient),
          marks || "no mark",
        ];
      });
      const row = make("th", { scope: "row", textContent: name });
      return make("tr", {}, row, ...cells.map((text) => make("td", { textContent: text })));
    });
    body.replaceChildren(...lines);
  }
  details.addEventListener("toggle", fill);

  return {
    begin(message) {
      started = message;
      views = null;
    },
    draw(newViews, playing) {
      views = newViews;
      if (!playing || performance.now() - last > EVERY_MS) fill();
    },
  };
}
