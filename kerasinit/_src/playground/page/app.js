/** The page: it joins a source of messages, the state of the session, and the panels. */
import { byId } from "playground/elements";
import { embeddedRecording } from "playground/replay_source";
import { startLive } from "playground/live";
import { startReplay } from "playground/recorded";

byId("to-settings").addEventListener("click", () => byId("shared").scrollIntoView());
byId("skip").addEventListener("click", () => byId("stage").focus());

const recording = await embeddedRecording();
if (recording) startReplay(recording);
else startLive();
