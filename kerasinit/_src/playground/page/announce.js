/** What a screen reader says: seldom enough to be listened to. */
import { byId } from "playground/elements";
import { brief } from "playground/numbers";

const QUIET_MS = 8000;
let last = 0;

/** Say a sentence once. */
export function announce(text) {
  byId("announcements").textContent = text;
  last = performance.now();
}

/** Say where training is: always when it has paused, every few seconds while it goes on. */
export function announceProgress(step, row, playing) {
  if (playing && performance.now() - last < QUIET_MS) return;
  const losses = row ? `, left loss ${brief(row[1])}, right loss ${brief(row[5])}` : "";
  announce(`Step ${step}${losses}${playing ? "" : ", paused"}.`);
}
