/** A small picture of each layer: how its weights and its activations are distributed. */
import { byId, make, onResize, setText, sharpContext } from "playground/elements";
import { brief, percent } from "playground/numbers";
import { colour, onThemeChange, SIDE_COLOURS } from "playground/theme";

const SIDES = ["left", "right"];
const NARROWEST = 92;
const HEIGHT = 34;
const MANY = 0.5;
const WORTH_A_MARK = 0.1;

/** Return what is wrong with a layer's units, as `{text, bad}`; empty if nothing is. */
export function marksOf({ dead, saturated, identical, kept, units }) {
  const marks = [];
  if (dead > 0) marks.push({ text: `${dead} of ${units} dead`, bad: dead >= MANY * units });
  if (saturated !== null && saturated >= WORTH_A_MARK) {
    marks.push({ text: `${percent(saturated)} saturated`, bad: saturated >= MANY });
  }
  if (identical > 0) {
    marks.push({ text: `${identical} identical`, bad: identical >= MANY * units });
  }
  if (kept !== null && kept < 1) marks.push({ text: `${percent(kept)} kept`, bad: false });
  return marks;
}

function drawHistogram(canvas, histogram, variable, width) {
  const context = sharpContext(canvas, width, HEIGHT);
  context.fillStyle = colour("--line");
  context.fillRect(0, HEIGHT - 1, width, 1);
  if (!histogram) return;
  const most = Math.max(1, ...histogram.counts);
  const bar = width / histogram.counts.length;
  context.fillStyle = colour(variable);
  histogram.counts.forEach((count, place) => {
    // A bar that is there is seen, however small.
    const height = count ? Math.max(1, ((HEIGHT - 2) * count) / most) : 0;
    context.fillRect(place * bar, HEIGHT - 1 - height, Math.max(1, bar - 0.8), height);
  });
  if (histogram.low < 0 && histogram.high > 0) {
    const zero = (width * -histogram.low) / (histogram.high - histogram.low);
    context.fillStyle = colour("--ink");
    context.fillRect(Math.round(zero), 0, 1, HEIGHT);
  }
}

const rangeOf = (histogram) =>
  histogram ? `${brief(histogram.low, 2)} … ${brief(histogram.high, 2)}` : "not finite";

function makeCell(side, name, onChoose) {
  const histograms = ["weights", "activations"].map((kind) => {
    const canvas = make("canvas", { role: "img" });
    const range = make("span", { className: "range", textContent: "\u00a0" });
    return { kind, canvas, range };
  });
  const marks = make("span", { className: "marks" });
  const title = make("strong", { textContent: name });
  const parts = histograms.flatMap(({ kind, canvas, range }) => [
    make("span", { className: "kind", textContent: kind }), canvas, range,
  ]);
  const cell = make(
    "button",
    {
      type: "button", className: `cell ${side}`, "data-testid": `${side}-${name}`,
      title: "Explain the first weights of this layer",
    },
    title, ...parts, marks,
  );
  cell.addEventListener("click", onChoose);
  return { cell, histograms, marks };
}

/** Build the row of each side; `onChoose(side, layer)` follows a click on a layer's picture. */
export function buildLayerCells(onChoose) {
  const place = byId("cells");
  let cells = { left: [], right: [] };
  let shown = null;

  function draw(views) {
    shown = views;
    // Read once, before anything is written: all cells are of one width.
    const width = cells.left[0].histograms[0].canvas.clientWidth || NARROWEST;
    for (const side of SIDES) {
      views[side].layers.forEach((layer, index) => {
        const { histograms, marks } = cells[side][index];
        for (const { kind, canvas, range } of histograms) {
          drawHistogram(canvas, layer[kind], SIDE_COLOURS[side], width);
          setText(range, rangeOf(layer[kind]));
          canvas.setAttribute("aria-label", `${kind} from ${rangeOf(layer[kind])}`);
        }
        const found = marksOf(layer);
        if (marks.dataset.shown === JSON.stringify(found)) return;
        marks.dataset.shown = JSON.stringify(found);
        marks.replaceChildren(
          ...found.map(({ text, bad }) =>
            make("span", { className: bad ? "mark bad" : "mark", textContent: text })),
        );
      });
    }
  }
  const again = () => shown && draw(shown);
  onThemeChange(again);
  onResize(place, again);

  return {
    begin({ layers }) {
      shown = null;
      const rows = SIDES.map((side) => {
        cells[side] = layers.map((name, index) =>
          makeCell(side, name, () => onChoose(side, index)));
        return make("div", { className: "row", role: "group", "aria-label": side },
          make("strong", { textContent: side }),
          make("div", {}, ...cells[side].map(({ cell }) => cell)));
      });
      place.replaceChildren(...rows);
      place.style.setProperty("--count", String(layers.length));
    },
    draw,
  };
}
