/** Play, pause, step, rewind, next seed and speed; where training is. */
import { byId, make, setText } from "playground/elements";
import { brief } from "playground/numbers";
import { bindShortcuts } from "playground/shortcuts";
import { SPEEDS } from "playground/speeds";

const MOVES = ["play", "step", "rewind", "next-seed"];

/** Build the controls; return `{draw(session), say(text), position(at, count), forReplay()}`. */
export function buildTransport(on) {
  const buttons = Object.fromEntries(MOVES.map((name) => [name, byId(name)]));
  for (const name of MOVES) buttons[name].addEventListener("click", () => on[name]());
  const press = (name) => () => buttons[name].disabled || buttons[name].hidden || on[name]();
  bindShortcuts({
    " ": press("play"), s: press("step"), r: press("rewind"), n: press("next-seed"),
  });

  const speed = byId("speed");
  const words = (count) => (count === 1 ? "1 step" : `${count} steps`);
  speed.append(
    ...SPEEDS.map((count) => make("option", { value: count, textContent: words(count) })),
  );
  speed.addEventListener("change", () => on.speed(Number(speed.value)));
  const seek = byId("seek");
  seek.addEventListener("input", () => on.seek(Number(seek.value)));

  return {
    draw({ started, asked, waiting, playing, step, rows }, connected) {
      for (const button of Object.values(buttons)) button.disabled = !started || !connected;
      setText(buttons.play, playing ? "Pause" : "Play");
      buttons.play.setAttribute("aria-pressed", String(playing));
      setText(byId("step-count"), String(step));
      const row = rows.at(-1);
      setText(byId("left-loss"), brief(row?.[1]));
      setText(byId("right-loss"), brief(row?.[5]));
      if (!connected) setText(byId("status"), "not connected");
      else if (waiting) setText(byId("status"), started ? "building…" : "starting TensorFlow…");
      else if (started) setText(byId("status"), playing ? "training" : "paused");
      else if (asked) setText(byId("status"), "nothing built yet");
    },
    position(at, count) {
      seek.max = String(count - 1);
      seek.value = String(at);
    },
    /** Keep what a recording can do, and show where in it one is. */
    forReplay() {
      speed.hidden = true;
      byId("seek-label").hidden = false;
      buttons["next-seed"].hidden = true;
      buttons.step.title = "One frame on (s)";
      buttons.play.title = "Play the recording (space)";
    },
  };
}
