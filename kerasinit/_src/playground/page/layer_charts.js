/** The spread of activations and of gradients by layer, and the theory's line beside them. */
import { line, makeChart, positive } from "playground/chart";
import { byId, setText } from "playground/elements";

const SIDES = ["left", "right"];
const THEORY = { dash: [2, 5], width: 2 };

/** Return the theory's line of a side: q is a mean square, what is drawn its root. */
const theoryOf = (started, side, count) =>
  Array.from({ length: count }, (_, layer) => {
    const q = started[side].theory?.[layer];
    return Number.isFinite(q) && q !== null ? positive(Math.sqrt(q)) : null;
  });

function makeOne(id, series, names) {
  const element = byId(id);
  element.setAttribute("role", "img");
  const labels = (u, splits) =>
    splits.map((place) => (place === names().length ? "out" : String(place)));
  const plot = makeChart(element, {
    series,
    y: "log",
    x: (low, high) => [0.8, Math.max(high ?? 0, 2) + 0.2],
    xValues: { values: labels, incrs: [1, 2, 5, 10, 20] },
  });
  return { element, plot };
}

/** Build both charts; return `{begin(started), draw(views)}`. */
export function buildLayerCharts() {
  let started = null;
  const names = () => started?.layers ?? [];
  const measured = () => [
    line("left", "--c0", { points: true }),
    line("right", "--c1", { points: true }),
  ];
  const activation = makeOne(
    "activation-chart",
    [...measured(), line("theory, left", "--c0", THEORY), line("theory, right", "--c1", THEORY)],
    names,
  );
  const gradient = makeOne("gradient-chart", measured(), names);

  return {
    begin(message) {
      started = message;
      const [left, right] = SIDES.map((side) => message[side].theory_note);
      const notes = left === right ? left : `Left: ${left} Right: ${right}`;
      setText(byId("theory-note"), notes || "\u00a0");
    },
    draw(views) {
      const count = started.layers.length;
      const places = Array.from({ length: count }, (_, layer) => layer + 1);
      const of = (name) =>
        SIDES.map((side) => views[side].layers.map((layer) => positive(layer[name])));
      const theory = SIDES.map((side) => theoryOf(started, side, count));
      activation.plot.set([places, ...of("activation"), ...theory]);
      gradient.plot.set([places, ...of("gradient")]);
      for (const [chart, word] of [[activation, "activations"], [gradient, "gradients"]]) {
        const text = `Spread of ${word} of ${count} layers; its numbers are in the table below.`;
        chart.element.setAttribute("aria-label", text);
      }
    },
  };
}
