/** What a live page and a replay have in common: a session, its panels and its controls. */
import { announce, announceProgress } from "playground/announce";
import { buildPanels } from "playground/panels";
import { Session } from "playground/session";
import { buildTransport } from "playground/transport";

/** Return `{session, panels, transport, refresh}`; `on` has what the page does beyond drawing. */
export function wire(on) {
  const session = new Session({
    started(message) {
      on.started?.(message);
      panels.begin(session);
    },
    frame(message) {
      panels.draw(session);
      on.frame?.(message);
      announceProgress(session.step, session.rows.at(-1), session.playing);
    },
    event(message) {
      panels.event(session);
      announce(`Step ${message.step}: ${message.text}`);
    },
    verdict(message) {
      panels.verdict(message);
      announce(`Left: ${message.left.title}. Right: ${message.right.title}.`);
    },
    explanation: (message) => panels.explanation(message),
    file: (message) => on.file?.(message),
    refused: (message, asked) => on.refused?.(message, asked),
    ended: (message) => on.ended?.(message),
    changed: () => refresh(),
  });
  const panels = buildPanels({
    explain: (side, layer) => session.send({ do: "explain", side, layer }),
    diagnose: () => session.send({ do: "diagnose" }),
  });
  const transport = buildTransport({
    play: () => (session.playing ? session.pause() : session.play()),
    step: () => session.advance(),
    rewind: () => session.rewind(),
    "next-seed": () => on.nextSeed?.(),
    seek: (position) => session.send({ do: "seek", position }),
    speed(steps) {
      session.speed = steps;
      if (session.playing) session.play();
    },
  });
  const refresh = () => transport.draw(session, on.connected());

  // For tests and for the curious: a copy of the numbers, which nothing here reads.
  Object.defineProperty(window, "playground", { get: () => Object.freeze(session.plain()) });
  return { session, panels, transport, refresh };
}
