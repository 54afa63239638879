/** A CSV of the user's, which stays on the machine of the server. */
import { byId, setText } from "playground/elements";

/** Build the choice of a file; return `{show(visible), ask(csv)}`. `on.file(csv)`, `on.failed`. */
export function buildUpload(limits, on) {
  const largest = limits.upload_bytes;
  const input = byId("csv");
  const note = byId("csv-note");
  const hint = note.textContent.trim().replace(/\s+/g, " ");
  let expected = null;

  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (!file) return;
    // The same file may be chosen again after it was changed.
    const send = await taken(file);
    input.value = "";
    if (send) on.file(send);
  });

  async function taken(file) {
    if (file.size > largest) {
      const size = (bytes) => `${Number((bytes / 1e6).toFixed(2))} MB`;
      on.failed(
        `${file.name} has ${size(file.size)}; a file may have at most ${size(largest)}. ` +
          "Keep fewer rows or columns.",
      );
      return null;
    }
    const answer = await sent(file);
    if (!answer) return null;
    if (expected && answer.digest !== expected.digest) {
      on.failed(
        `${file.name} is not the ${expected.name} of this link: its contents differ ` +
          `(SHA-256 ${answer.digest.slice(0, 8)}… instead of ${expected.digest.slice(0, 8)}…).`,
      );
      return null;
    }
    expected = null;
    return { name: answer.name, digest: answer.digest };
  }

  async function sent(file) {
    const query = new URLSearchParams(location.search);
    query.set("name", file.name);
    try {
      const response = await fetch(`/upload?${query}`, { method: "POST", body: file });
      const answer = await response.json();
      if (response.ok) return answer;
      on.failed(answer.text);
    } catch {
      on.failed(`${file.name} could not be sent: the server does not answer.`);
    }
    return null;
  }

  return {
    show(visible, csv) {
      byId("upload").hidden = !visible;
      if (!visible) expected = null;
      else if (csv) setText(note, `${csv.name} is loaded. ${hint}`);
    },
    /** Ask for the file that a link names; another one is not taken. */
    ask(csv) {
      expected = csv;
      byId("upload").hidden = false;
      setText(note, `This link needs the file ${csv.name}. Choose it to see what the link shows.`);
    },
    hint: () => setText(note, hint),
  };
}
