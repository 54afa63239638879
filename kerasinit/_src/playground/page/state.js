/** The state of the page as its address: `#lesson=zeros&step=120&data=moons&...`. */

// What the page adds to the words of the settings.
const OWN = ["lesson", "step", "file", "digest"];

/** Return a word as its field's kind; what does not fit stays text, to be refused. */
function valueOf(word, kind) {
  if (kind === "bool") return { true: true, false: false }[word] ?? word;
  if (kind === "int" || kind === "float") {
    const number = Number(word);
    return word.trim() !== "" && Number.isFinite(number) ? number : word;
  }
  return word;
}

/** Return `{lesson, step, csv, patch}` of a fragment; `patch` has the settings named in it. */
export function readFragment(fragment, form) {
  const kinds = (fields) => Object.fromEntries(fields.map(({ name, kind }) => [name, kind]));
  const shared = kinds(form.shared);
  const side = kinds(form.side);
  const words = new URLSearchParams(fragment.replace(/^#/, ""));
  const patch = {};
  for (const [name, word] of words) {
    if (OWN.includes(name)) continue;
    const [first, second] = name.split(/\.(.*)/s);
    if (second === undefined) patch[name] = valueOf(word, shared[name]);
    else patch[first] = { ...patch[first], [second]: valueOf(word, side[second]) };
  }
  const digest = words.get("digest");
  return {
    lesson: words.get("lesson"),
    step: Math.max(0, Math.trunc(Number(words.get("step")) || 0)),
    csv: digest ? { name: words.get("file") ?? "file.csv", digest } : null,
    patch,
  };
}

/** Return the settings with a patch on them; the sides are patched field by field. */
export function patched(settings, patch) {
  return {
    ...settings,
    ...patch,
    left: { ...settings.left, ...patch?.left },
    right: { ...settings.right, ...patch?.right },
  };
}

/** Return the fragment of a run at a step. */
export function writeFragment({ address, lesson, step, csv }) {
  const own = new URLSearchParams();
  if (lesson) own.set("lesson", lesson);
  own.set("step", String(step));
  if (csv) {
    own.set("file", csv.name);
    own.set("digest", csv.digest);
  }
  return `#${own}&${address}`;
}

/** Show a fragment in the address bar without a new entry in the history. */
export function showFragment(fragment) {
  if (location.hash !== fragment) history.replaceState(null, "", fragment);
}
