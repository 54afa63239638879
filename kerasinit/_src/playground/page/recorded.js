/** A page that replays a recording: nothing is sent, and nothing can be set. */
import { byId } from "playground/elements";
import { buildForm } from "playground/form";
import { buildMenu, showLesson } from "playground/lessons";
import { replay } from "playground/replay_source";
import { wire } from "playground/wiring";

/** Show the first run of a recording. */
export function startReplay(recording) {
  const { lesson, runs } = recording;
  const form = buildForm(recording.form, () => {});
  form.lock();
  const page = wire({
    connected: () => true,
    started: ({ settings }) => form.write(settings),
  });
  const { session, panels, transport } = page;
  session.attach(replay(recording, {
    message: (message) => session.receive(message),
    position: transport.position,
  }));
  transport.forReplay();
  byId("tools").hidden = true;
  const explains = runs.some(({ messages }) => messages.some(({ is }) => is === "explanation"));
  panels.forReplay(explains);
  document.body.classList.add("replay");

  byId("lessons-title").textContent = "Recorded";
  const menu = buildMenu(
    runs.map(({ label }, index) => ({
      id: index, number: String(index + 1), title: label, testid: `run-${index + 1}`,
    })),
    choose,
  );
  function choose(index) {
    menu.mark(index);
    session.start({ settings: null, recorded: index, resume: false });
  }
  // Only what changes settings was recorded as a run of its own.
  const runOf = (index) => 1 + lesson.try.slice(0, index).filter((one) => one.settings).length;
  showLesson(lesson, 0, (patch, index) => {
    if (runOf(index) < runs.length) choose(runOf(index));
  });
  if (!lesson) byId("lesson").hidden = true;
  byId("about").textContent =
    "A recording of the kerasinit playground. It needs no server and no network.";
  choose(0);
}
