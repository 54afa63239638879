/** Everything that shows a run, behind four calls. */
import { buildBoundary } from "playground/boundary";
import { buildCurves } from "playground/curves";
import { buildDigits } from "playground/digits";
import { byId, setText } from "playground/elements";
import { buildLayerCells } from "playground/layer_cells";
import { buildLayerCharts } from "playground/layer_charts";
import { buildLayerTable } from "playground/layer_table";
import { buildWords } from "playground/words";

const SIDES = ["left", "right"];

/** Build the panels; `on.explain(side, layer)` and `on.diagnose()` are what they ask for. */
export function buildPanels(on) {
  const words = Object.fromEntries(
    SIDES.map((side) =>
      [side, buildWords(side, { onExplain: on.explain, onDiagnose: on.diagnose })]),
  );
  const curves = buildCurves();
  const pictures = SIDES.flatMap((side) =>
    [buildBoundary(side), buildDigits(side)].map((picture) => ({ side, picture })));
  const layers = [
    buildLayerCharts(),
    buildLayerCells((side, layer) => words[side].choose(layer)),
    buildLayerTable(),
  ];

  return {
    begin(session) {
      const { started } = session;
      for (const { picture } of pictures) picture.begin(started);
      for (const panel of [...layers, ...Object.values(words)]) panel.begin(started);
      setText(byId("weights-note"), notesOf(started));
      curves.draw(session);
    },
    draw(session) {
      const { views, playing } = session;
      curves.draw(session);
      for (const { side, picture } of pictures) picture.draw(views[side]);
      for (const panel of layers) panel.draw(views, playing);
    },
    event: (session) => curves.draw(session),
    verdict: (message) => SIDES.forEach((side) => words[side].verdict(message)),
    explanation: (message) => words[message.side].explanation(message),
    forReplay: (explains) => SIDES.forEach((side) => words[side].forReplay(explains)),
  };
}

function notesOf({ left, right, notes }) {
  const counts = [left, right].map(({ weights }) => weights.toLocaleString("en"));
  const weights =
    counts[0] === counts[1]
      ? `${counts[0]} weights on each side.`
      : `${counts[0]} weights on the left, ${counts[1]} on the right.`;
  return [weights, ...(notes ?? [])].join(" ");
}
