/** Loss and accuracy of both sides, step by step. */
import { line, makeChart, positive } from "playground/chart";
import { byId, setText } from "playground/elements";
import { brief, percent } from "playground/numbers";
import { colour } from "playground/theme";

// The columns of a row: step, then loss, test loss, accuracy and test accuracy of each side.
const LOSSES = [1, 2, 5, 6];
const ACCURACIES = [3, 4, 7, 8];
const NAMES = ["left", "left test", "right", "right test"];
const SHORTEST = 20;

const lines = () => [
  line(NAMES[0], "--c0"),
  line(NAMES[1], "--c0", { dash: [5, 4], width: 1.5 }),
  line(NAMES[2], "--c1"),
  line(NAMES[3], "--c1", { dash: [5, 4], width: 1.5 }),
];

/** Build both charts; return `{draw(session)}`. */
export function buildCurves() {
  let rows = [];
  let events = [];

  function drawEvents(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = colour("--soft");
    ctx.lineWidth = window.devicePixelRatio || 1;
    ctx.setLineDash([2, 4]);
    for (const { step } of events) {
      const place = Math.round(plot.valToPos(step, "x", true));
      ctx.beginPath();
      ctx.moveTo(place, bbox.top);
      ctx.lineTo(place, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  const charts = [
    { id: "loss", columns: LOSSES, y: "log", show: brief, value: positive },
    { id: "accuracy", columns: ACCURACIES, y: [-0.02, 1.02], show: percent, value: (one) => one },
  ].map((chart) => {
    const values = byId(`${chart.id}-values`);
    /** Show the numbers under the pointer, or the newest. */
    const at = (index) => {
      const row = rows[index ?? rows.length - 1];
      if (!row) return setText(values, "\u00a0");
      const words = chart.columns.map((column, i) => `${NAMES[i]} ${chart.show(row[column])}`);
      return setText(values, `step ${row[0]}: ${words.join(", ")}`);
    };
    const element = byId(`${chart.id}-chart`);
    element.setAttribute("role", "img");
    const plot = makeChart(element, {
      series: lines(),
      y: chart.y,
      x: (low, high) => [0, Math.max(high ?? 0, SHORTEST)],
      draw: drawEvents,
      at,
    });
    return { ...chart, at, plot, element };
  });

  return {
    draw(session) {
      ({ rows, events } = session);
      const steps = rows.map((row) => row[0]);
      for (const { id, columns, value, plot, at, element } of charts) {
        plot.set([steps, ...columns.map((column) => rows.map((row) => value(row[column])))]);
        at(null);
        const last = byId(`${id}-values`).textContent;
        element.setAttribute("aria-label", `Chart of the ${id} of both sides. ${last}`);
      }
      setText(byId("events"), notes(session) || "\u00a0");
    },
  };
}

/** Return what happened, in words: divergence and the last event. */
function notes({ views, events }) {
  const diverged = ["left", "right"]
    .filter((side) => Number.isInteger(views?.[side]?.diverged))
    .map((side) => `${side} diverged at step ${views[side].diverged}`);
  const last = events.slice(-1).map(({ step, text }) => `step ${step}: ${text}`);
  return [...diverged, ...last].join(" · ");
}
