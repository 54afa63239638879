/** The text of an initializer, "RandomNormal:stddev=0.01", and a slider for its main number. */
import { make } from "playground/elements";
import { makeSlider, scaleOf } from "playground/number_field";
import { rounded } from "playground/numbers";

const NUMBER = "[-+]?(?:\\d+\\.?\\d*|\\.\\d+)(?:e[-+]?\\d+)?";
// The arguments that scale the weights come before others, such as a sparsity or a seed.
const MAIN = ["stddev", "scale", "gain", "value", "maxval", "omega", "multiplier"];
// What the slider writes where the text leaves it to the default of the class.
const DEFAULTS = {
  RandomNormal: ["stddev", 0.05],
  TruncatedNormal: ["stddev", 0.05],
  VarianceScaling: ["scale", 1],
  Orthogonal: ["gain", 1],
  Constant: ["value", 0.1],
};
const LOW = 1e-4;
const HIGH = 10;

/** Return `{name, value, start, end}` of the number a slider moves, or null if there is none. */
export function mainNumber(text) {
  const found = [...text.matchAll(new RegExp(`([a-z_]+)=(${NUMBER})(?=,|$)`, "gi"))].map(
    (match) => {
      const end = match.index + match[0].length;
      return { name: match[1], value: Number(match[2]), start: end - match[2].length, end };
    },
  );
  const scales = found.filter(({ name }) => name !== "seed");
  const main = MAIN.map((name) => scales.find((one) => one.name === name)).find(Boolean);
  if (main ?? scales[0]) return main ?? scales[0];
  const name = text.replace(/^kerasinit>/, "").split(":")[0];
  if (!(name in DEFAULTS)) return null;
  const [argument, value] = DEFAULTS[name];
  return { name: argument, value, start: text.length, end: text.length, missing: true };
}

/** Return the text with another value for its main number. */
export function withNumber(text, value) {
  const { name, value: before, start, end, missing } = mainNumber(text);
  const signed = before < 0 ? -value : value;
  const joint = missing ? `${text.includes(":") ? "," : ":"}${name}=` : "";
  return text.slice(0, start) + joint + String(signed) + text.slice(end);
}

/** Return `{controls, read, write, disable}` for an initializer. */
export function initializerField({ name, label, hint }, id, onChange) {
  const scale = scaleOf(LOW, HIGH, true);
  const box = make("input", {
    type: "text", id, title: hint, spellcheck: false, autocomplete: "off", maxLength: 200,
    "data-testid": id, "aria-description": hint,
  });
  box.setAttribute("list", "initializers");
  const slider = makeSlider(scale, label, `${id}-slider`);
  const argument = make("output", {});
  const whole = make("span", { className: "main-number" }, argument, slider);

  function toSlider() {
    const main = mainNumber(box.value);
    whole.classList.toggle("absent", main === null);
    slider.disabled = main === null || box.disabled;
    argument.textContent = main?.name ?? "";
    if (main) {
      slider.value = scale.toTick(Math.abs(main.value));
      slider.setAttribute("aria-label", `${main.name} of the ${label}, slider`);
      slider.setAttribute("aria-valuetext", String(main.value));
    }
  }
  slider.addEventListener("input", () => {
    box.value = withNumber(box.value, rounded(scale.toValue(Number(slider.value)), 2));
    toSlider();
  });
  slider.addEventListener("change", () => onChange(name));
  box.addEventListener("input", toSlider);
  box.addEventListener("change", () => onChange(name));

  return {
    controls: [whole, box],
    read: () => box.value.trim(),
    write(value) {
      box.value = value;
      toSlider();
    },
    disable(disabled) {
      box.disabled = disabled;
      toSlider();
    },
  };
}
