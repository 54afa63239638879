/** What is said of each side: the verdict, the Keras code, where weights come from. */
import { copyText } from "playground/copying";
import { byId, make, setText } from "playground/elements";
import { prose } from "playground/prose";

const EMPTY = "Press Explain for the formula with the numbers of the chosen layer.";

function showVerdict(place, step, { ok, title, findings }) {
  const head = make("p", { className: ok ? "title good" : "title bad" });
  head.append(
    make("span", { className: "sign", "aria-hidden": "true", textContent: ok ? "✓" : "!" }),
    make("span", {}, make("strong", {}, ...prose(title)),
      make("span", { className: "note", textContent: ` at step ${step}` })),
  );
  const items = findings.map(({ layer, text, why, fix }) => {
    const item = make("li", {}, make("strong", {}, ...prose(text)));
    if (layer) item.append(make("span", { className: "note", textContent: ` ${layer}` }));
    if (why) item.append(make("p", {}, ...prose(why)));
    if (fix) {
      const label = make("b", { textContent: "Fix: " });
      item.append(make("p", { className: "fix" }, label, ...prose(fix)));
    }
    return item;
  });
  place.replaceChildren(head, make("ul", { className: "findings" }, ...items));
}

/** Build a side's words; return functions that show them. `onExplain(side, layer)` asks. */
export function buildWords(side, { onExplain, onDiagnose }) {
  const [verdict, code, explanation, layers] = ["verdict", "code", "explanation", "layer"].map(
    (part) => byId(`${side}-${part}`),
  );
  const waiting = (place, text) =>
    place.replaceChildren(make("p", { className: "note", textContent: text }));
  const ask = () => onExplain(side, Number(layers.value));
  byId(`${side}-explain`).addEventListener("click", ask);
  byId(`${side}-diagnose`).addEventListener("click", () => {
    waiting(verdict, "Measuring…");
    onDiagnose();
  });
  byId(`${side}-copy`).addEventListener("click", (event) =>
    copyText(code.textContent, event.currentTarget));
  waiting(verdict, "The verdict comes once the networks are built.");
  waiting(explanation, EMPTY);

  return {
    begin(started) {
      setText(code, started[side].code);
      const chosen = layers.value;
      layers.replaceChildren(
        ...started.layers.map((name, index) =>
          make("option", { value: index, textContent: name })),
      );
      layers.value = chosen !== "" && chosen < started.layers.length ? chosen : "0";
      waiting(verdict, "Measuring…");
      waiting(explanation, EMPTY);
    },
    choose(layer) {
      layers.value = String(layer);
      ask();
    },
    verdict: (message) => showVerdict(verdict, message.step, message[side]),
    explanation({ title, lines, source }) {
      explanation.replaceChildren(
        make("strong", { textContent: title }),
        ...lines.map((text) => make("p", { className: "formula" }, ...prose(text))),
        make("p", { className: "note", textContent: source ?? "" }),
      );
    },
    /** Offer only what a recording can answer. */
    forReplay(explains) {
      byId(`${side}-diagnose`).hidden = true;
      byId(`${side}-explaining`).hidden = !explains;
    },
  };
}
