/** A line chart of the page: uPlot with our colours, axes and size. */
import uPlot from "uplot";
import { onResize } from "playground/elements";
import { brief } from "playground/numbers";
import { colour, onThemeChange } from "playground/theme";

const FONT = "12px system-ui, sans-serif";
const MOST_DECADES = 6;

/** Return where the lines of a logarithmic axis are: powers of ten, or 1, 2 and 5 of a few. */
export function decades(low, high) {
  const from = Math.floor(Math.log10(low));
  const to = Math.ceil(Math.log10(high));
  const every = Math.ceil((to - from) / MOST_DECADES);
  const steps = to - from <= 2 ? [1, 2, 5] : [1];
  const found = [];
  // From a multiple of the distance, so that labels stay while the range grows.
  for (let power = Math.floor(from / every) * every; power <= to; power += every) {
    for (const step of steps) found.push(Number(`${step}e${power}`));
  }
  return found.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
}

function logRange(low, high) {
  if (!(low > 0) || !Number.isFinite(high)) return [0.1, 1];
  const middle = Math.sqrt(low) * Math.sqrt(high);
  // At least a decade, so that a flat line looks flat.
  return [Math.min(low / 1.3, middle / 3.2), Math.max(high * 1.3, middle * 3.2)];
}

function axisOf(extra) {
  return {
    stroke: () => colour("--soft"),
    font: FONT,
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { show: false },
    ...extra,
  };
}

/** Return the series of a line; `dash` as of a canvas. */
export const line = (label, variable, { dash, width = 2, points = false } = {}) => ({
  label,
  stroke: () => colour(variable),
  fill: undefined,
  width,
  dash,
  points: { show: points, size: 5, fill: () => colour(variable) },
});

/**
 * Return `{set(columns), redraw()}` of a chart within an element.
 *
 * `y` is "log" or [low, high]; `x(low, high)` gives the range of the horizontal axis; `draw(u)`
 * paints on top, and `at(index)` is called with the place of the pointer, or null.
 */
export function makeChart(element, { series, y, x, xValues, draw, at }) {
  const log = y === "log";
  const vertical = log
    ? { size: 56, splits: (u, axis, low, high) => decades(low, high), filter: (u, splits) => splits,
        values: (u, splits) => splits.map((value) => brief(value, 1)) }
    : { size: 56, values: (u, splits) => splits.map((value) => String(Number(value.toFixed(2)))) };
  const options = {
    width: Math.max(element.clientWidth, 100),
    height: Math.max(element.clientHeight, 100),
    legend: { show: false },
    cursor: { y: false, drag: { setScale: false, x: false, y: false }, points: { size: 6 } },
    scales: {
      x: { time: false, range: (u, low, high) => x(low, high) },
      y: log ? { distr: 3, range: (u, low, high) => logRange(low, high) } : { range: () => y },
    },
    axes: [axisOf({ size: 28, ...xValues }), axisOf(vertical)],
    series: [{}, ...series],
    hooks: {
      draw: draw ? [draw] : [],
      setCursor: at ? [(u) => at(u.cursor.idx ?? null)] : [],
    },
  };
  const plot = new uPlot(options, [[], ...series.map(() => [])], element);
  onResize(element, (width, height) => plot.setSize({ width, height }));
  onThemeChange(() => plot.redraw(false));
  return { set: (columns) => plot.setData(columns), redraw: () => plot.redraw(false) };
}

/** Return a number for a logarithmic axis: what is not above zero leaves a gap. */
export const positive = (number) => (number > 0 && Number.isFinite(number) ? number : null);
