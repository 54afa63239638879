/** A recorded session in the place of the server: the same commands, answered from the file. */
import { bytesOf } from "playground/base64";

const FRAME_MS = 125;

/** Return `{send, close}` for the recorded runs; `{do: "start", recorded: n}` chooses one. */
export function replay(recorded, on) {
  let messages = [];
  let frames = [];
  let at = 0;
  let timer = null;

  const others = (kind) => messages.filter((message) => message.is === kind);
  const emit = (message) => on.message(structuredClone(message));

  /** Show a recorded frame with all rows until then, so that it may be before the last one. */
  function show(position, playing) {
    at = Math.min(Math.max(position, 0), frames.length - 1);
    const rows = frames.slice(0, at + 1).flatMap((frame) => frame.rows);
    emit({ ...frames[at], rows, playing });
    for (const event of others("event")) if (event.step <= frames[at].step) emit(event);
    on.position?.(at, frames.length);
  }

  function pause() {
    clearInterval(timer);
    timer = null;
  }

  function play() {
    pause();
    // From the end, it starts over.
    if (at >= frames.length - 1) show(0, true);
    timer = setInterval(() => {
      const ends = at + 1 >= frames.length - 1;
      show(at + 1, !ends);
      if (ends) pause();
    }, FRAME_MS);
  }

  const answers = {
    start({ recorded: run = 0 }) {
      pause();
      messages = recorded.runs[run].messages;
      frames = others("frame");
      for (const message of others("started")) emit(message);
      for (const message of others("verdict")) emit(message);
      if (frames.length) show(0, false);
    },
    play,
    pause() {
      pause();
      show(at, false);
    },
    advance() {
      pause();
      show(at + 1, false);
    },
    rewind() {
      pause();
      show(0, false);
    },
    seek({ position }) {
      pause();
      show(position, false);
    },
    explain({ side, layer }) {
      const found = others("explanation").find((m) => m.side === side && m.layer === layer);
      if (found) emit(found);
    },
  };
  // Asynchronous, as a server's answers are.
  return { send: (command) => queueMicrotask(() => answers[command.do]?.(command)), close: pause };
}

/** Return the recording that this page carries, compressed, or null if a server sent it. */
export async function embeddedRecording() {
  const element = document.getElementById("replay");
  if (!element) return null;
  const packed = new Blob([bytesOf(element.textContent)]).stream();
  return new Response(packed.pipeThrough(new DecompressionStream("gzip"))).json();
}
