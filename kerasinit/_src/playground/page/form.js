/** The settings as forms: what both networks share, and what each side has of its own. */
import { byId, make } from "playground/elements";
import { initializerField } from "playground/initializer_field";
import { numberField } from "playground/number_field";

const SIDES = ["left", "right"];
// Settings without effect, by those that take it from them.
const IDLE = {
  noise: ({ data }) => data === "digits" || data === "csv",
  round_steps: ({ rounds }) => rounds === 0,
  sparsity: ({ rounds }) => rounds === 0,
  survivors: ({ rounds }) => rounds === 0,
};

function choiceField({ name, choices, hint }, id, onChange) {
  const select = make("select", { id, title: hint, "data-testid": id });
  select.append(...choices.map((choice) => make("option", { value: choice, textContent: choice })));
  select.addEventListener("change", () => onChange(name));
  return {
    controls: [select],
    read: () => select.value,
    write: (value) => (select.value = value),
    disable: (disabled) => (select.disabled = disabled),
  };
}

function switchField({ name, hint }, id, onChange) {
  const box = make("input", { type: "checkbox", id, title: hint, "data-testid": id });
  box.addEventListener("change", () => onChange(name));
  return {
    controls: [make("span", { className: "switch" }, box, make("span", { textContent: "on" }))],
    read: () => box.checked,
    write: (value) => (box.checked = value === true),
    disable: (disabled) => (box.disabled = disabled),
  };
}

function textField({ name, hint }, id, onChange) {
  const box = make("input", {
    type: "text", id, title: hint, spellcheck: false, autocomplete: "off", maxLength: 200,
    "data-testid": id, "aria-description": hint,
  });
  box.setAttribute("list", "initializers");
  box.addEventListener("change", () => onChange(name));
  return {
    controls: [box],
    read: () => box.value.trim(),
    write: (value) => (box.value = value),
    disable: (disabled) => (box.disabled = disabled),
  };
}

function fieldOf(spec, id, onChange) {
  if (spec.choices) return choiceField(spec, id, onChange);
  if (spec.kind === "bool") return switchField(spec, id, onChange);
  if (spec.kind === "int" || spec.kind === "float") return numberField(spec, id, onChange);
  if (spec.name === "initializer") return initializerField(spec, id, onChange);
  return textField(spec, id, onChange);
}

function fill(place, specs, prefix, onChange) {
  const fields = new Map();
  const rows = specs.map((spec) => {
    const id = `field-${prefix}${spec.name}`;
    const field = fieldOf(spec, id, onChange);
    fields.set(spec.name, field);
    const label = make("label", { htmlFor: id, title: spec.hint, textContent: spec.label });
    const className = spec.name === "initializer" ? "field wide" : "field";
    return make("div", { className }, label, ...field.controls);
  });
  place.replaceChildren(...rows);
  place.closest("form").addEventListener("submit", (event) => event.preventDefault());
  return fields;
}

/** Build the forms; return `{read, write, lock}`. `onChange(name)` follows each change by hand. */
export function buildForm(form, onChange) {
  const place = (part) => document.querySelector(`[data-fields="${part}"]`);
  const changed = (name) => {
    idle();
    onChange(name);
  };
  const shared = fill(place("shared"), form.shared, "", changed);
  const sides = new Map(
    SIDES.map((side) => [side, fill(place(side), form.side, `${side}-`, changed)]),
  );
  const all = [shared, ...sides.values()];
  const readAll = (fields) =>
    Object.fromEntries([...fields].map(([name, field]) => [name, field.read()]));
  let locked = false;

  function idle() {
    const values = readAll(shared);
    for (const fields of all) {
      for (const [name, field] of fields) field.disable(locked || (IDLE[name]?.(values) ?? false));
    }
  }

  return {
    read() {
      const bySide = [...sides].map(([side, fields]) => [side, readAll(fields)]);
      return { ...readAll(shared), ...Object.fromEntries(bySide) };
    },
    write(settings) {
      const write = (fields, values) => {
        for (const [name, field] of fields) if (name in values) field.write(values[name]);
      };
      write(shared, settings);
      for (const [side, fields] of sides) write(fields, settings[side] ?? {});
      idle();
    },
    /** Let nothing be changed, as in a replay. */
    lock() {
      locked = true;
      idle();
    },
  };
}

/** Offer these names to every field of an initializer. */
export function offerInitializers(names) {
  byId("initializers").replaceChildren(...names.map((name) => make("option", { value: name })));
}
