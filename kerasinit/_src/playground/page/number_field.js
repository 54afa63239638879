/** A number in a form: a slider to try, and a box to be exact. */
import { make } from "playground/elements";
import { rounded } from "playground/numbers";

// Few enough for an arrow key to make a difference.
const TICKS = 100;
// Beyond this, a slider has no use: no seed can be hit with it.
const SLIDER_LIMIT = 100_000;

/** Return a scale `{ticks, toTick(value), toValue(tick)}` between two numbers. */
export function scaleOf(low, high, log, whole = false) {
  const [from, to] = log ? [Math.log(low), Math.log(high)] : [low, high];
  // Whole numbers have a tick each, unless they are too many or on a logarithmic scale.
  const ticks = whole && !log ? Math.min(high - low, SLIDER_LIMIT) : TICKS;
  return {
    ticks,
    toTick(value) {
      const place = log ? Math.log(Math.max(value, low)) : value;
      return Math.round((ticks * (place - from)) / (to - from));
    },
    toValue(tick) {
      const place = from + ((to - from) * tick) / ticks;
      return log ? Math.exp(place) : place;
    },
  };
}

/** Return a slider over a scale's ticks. */
export const makeSlider = ({ ticks }, label, testid) =>
  make("input", {
    type: "range", min: 0, max: ticks, "aria-label": `${label}, slider`, "data-testid": testid,
  });

/** Return `{controls, read, write, disable}` for a number with limits. */
export function numberField({ name, kind, label, hint, low, high, log }, id, onChange) {
  const whole = kind === "int";
  const scale = scaleOf(low, high, log, whole);
  const box = make("input", {
    type: "number", id, min: low, max: high, step: whole ? 1 : "any", title: hint, required: true,
    "data-testid": id,
  });
  const slider = makeSlider(scale, label, `${id}-slider`);
  slider.hidden = high > SLIDER_LIMIT;
  box.classList.toggle("alone", slider.hidden);

  const toSlider = () => (slider.value = scale.toTick(box.valueAsNumber));
  slider.addEventListener("input", () => {
    const value = scale.toValue(Number(slider.value));
    box.value = whole ? Math.round(value) : rounded(value, log ? 2 : 3);
  });
  slider.addEventListener("change", () => onChange(name));
  box.addEventListener("input", toSlider);
  box.addEventListener("change", () => onChange(name));

  return {
    controls: [make("div", { className: "number" }, slider, box)],
    // An empty or a wrong number goes to the server, which says what it expects.
    read: () => (box.value === "" ? null : Number(box.value)),
    write(value) {
      box.value = value;
      toSlider();
    },
    disable(disabled) {
      box.disabled = disabled;
      slider.disabled = disabled;
    },
  };
}
