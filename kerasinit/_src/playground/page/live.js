/** A page on a server: settings start runs, and the address holds what is seen. */
import { buildAlerts } from "playground/alerts";
import { announce } from "playground/announce";
import { copyText } from "playground/copying";
import { byId } from "playground/elements";
import { buildExports, save } from "playground/exports";
import { buildForm, offerInitializers } from "playground/form";
import { buildMenu, entriesOf, showLesson } from "playground/lessons";
import { connect } from "playground/source";
import { speedFor } from "playground/speeds";
import { patched, readFragment, showFragment, writeFragment } from "playground/state";
import { buildUpload } from "playground/upload";
import { wire } from "playground/wiring";

const NO_ANSWER =
  "The server does not answer. Does it still run, and is the token in this address its own?";
const ADDRESS_MS = 1000;

/** Connect, load the options, and start what the address says. */
export async function startLive() {
  const live = new Live();
  live.connect();
  const { options, failure } = await loadOptions();
  if (options) live.begin(options);
  else live.fail(failure);
}

async function loadOptions() {
  try {
    const response = await fetch(`/options${location.search}`);
    const answer = await response.json();
    if (response.ok) return { options: answer };
    return { failure: answer.text };
  } catch {
    return { failure: NO_ANSWER };
  }
}

class Live {
  #connected = false;
  #csv = null;
  #lastAddress = 0;
  #ended = null;

  constructor() {
    this.alerts = buildAlerts(() => this.#reconnect());
    this.page = wire({
      connected: () => this.#connected,
      started: () => this.#onStarted(),
      frame: () => this.#onFrame(),
      refused: (message, asked) => this.#onRefused(message, asked),
      ended: ({ text }) => (this.#ended = text),
      file: (message) => {
        save(message);
        announce(`${message.name} is saved.`);
      },
      nextSeed: () => this.#nextSeed(),
    });
    this.session = this.page.session;
  }

  connect() {
    this.#ended = null;
    const source = connect({
      open: () => this.#setConnected(true),
      message: (message) => this.session.receive(message),
      close: () => this.#onClose(),
    });
    this.session.attach(source);
  }

  /** Say why there is nothing to show. */
  fail(text) {
    this.alerts.show(text, { again: true });
  }

  /** Build what needs the options, and start. */
  begin(options) {
    this.options = options;
    offerInitializers(options.initializers);
    this.form = buildForm(options.form, () => this.#onForm());
    this.form.write(options.defaults);
    this.upload = buildUpload(options.limits, {
      file: (csv) => this.#onFile(csv),
      failed: (text) => this.alerts.show(text),
    });
    this.menu = buildMenu(entriesOf(options.lessons), (id) => this.#openLesson(id));
    buildExports((kind) => {
      announce("The file is being made.");
      this.session.send({ do: "export", kind });
    });
    byId("copy-link").addEventListener("click", ({ currentTarget }) => {
      this.#syncAddress();
      copyText(location.href, currentTarget);
    });
    byId("about").textContent =
      `kerasinit ${options.version}. Everything is computed on the machine of the server; ` +
      "the page loads nothing from elsewhere.";
    window.addEventListener("hashchange", () => this.#openAddress());
    this.#openAddress();
  }

  #lessonOf(id) {
    return this.options.lessons.find((lesson) => lesson.id === id) ?? null;
  }

  /** Start what the fragment of the address says, with defaults for what it leaves out. */
  #openAddress() {
    const { lesson: id, step, csv, patch } = readFragment(location.hash, this.options.form);
    const lesson = this.#lessonOf(id);
    this.#showLesson(lesson);
    const settings = patched(lesson?.settings ?? this.options.defaults, patch);
    this.#csv = csv;
    this.#start({ settings, step, lesson: lesson?.id ?? null, fromLink: true, resume: false });
    if (id && !lesson) {
      const names = this.options.lessons.map((one) => one.id).join(", ");
      this.alerts.show(`There is no lesson "${id}". Lessons: ${names}.`);
    }
  }

  /** Start a run, unless it needs a file that has not been chosen. */
  #start(asked) {
    this.alerts.clear();
    const csv = asked.settings.data === "csv" ? this.#csv : null;
    this.form.write(asked.settings);
    this.upload.show(asked.settings.data === "csv", csv);
    if (asked.settings.data === "csv" && !csv) {
      byId("csv").focus();
      return;
    }
    this.session.start({ ...asked, csv });
  }

  #onForm() {
    this.#start({ settings: this.form.read(), lesson: this.session.lesson });
  }

  #onFile(csv) {
    this.#csv = csv;
    this.#start({ settings: { ...this.form.read(), data: "csv" }, lesson: this.session.lesson });
  }

  #nextSeed() {
    const { settings, lesson } = this.session;
    this.#start({ settings: { ...settings, seed: settings.seed + 1 }, lesson });
  }

  #openLesson(id) {
    const lesson = this.#lessonOf(id);
    this.#showLesson(lesson);
    if (lesson) {
      this.#start({ settings: lesson.settings, lesson: id, resume: false });
    } else {
      // Free play goes on from what is there.
      this.session.lesson = null;
      this.#syncAddress();
    }
  }

  #showLesson(lesson) {
    const number = this.options.lessons.indexOf(lesson) + 1;
    showLesson(lesson, number, (patch) => {
      this.#start({ settings: patched(lesson.settings, patch), lesson: lesson.id });
    });
    this.menu.mark(lesson?.id ?? null);
    this.session.until = lesson?.steps;
    if (lesson) {
      this.session.speed = speedFor(lesson.steps);
      byId("speed").value = String(this.session.speed);
    }
  }

  #onStarted() {
    this.form.write(this.session.settings);
    this.#syncAddress();
  }

  #onFrame() {
    const due = performance.now() - this.#lastAddress > ADDRESS_MS;
    if (!this.session.playing || due) this.#syncAddress();
  }

  /** Write what is seen to the address bar. */
  #syncAddress() {
    const { started, lesson, step, csv } = this.session;
    if (!started) return;
    this.#lastAddress = performance.now();
    showFragment(writeFragment({ address: started.address, lesson, step, csv }));
  }

  #onRefused({ text }, asked) {
    this.alerts.show(text);
    if (asked?.fromLink && asked.csv) this.upload.ask(asked.csv);
  }

  #setConnected(connected) {
    this.#connected = connected;
    this.page.refresh();
  }

  #onClose() {
    this.session.playing = false;
    const lost = this.#connected
      ? "The connection to the server is lost."
      : NO_ANSWER;
    this.#setConnected(false);
    this.alerts.show(this.#ended ?? lost, { again: true });
  }

  /** Connect again and train to where it was. */
  #reconnect() {
    if (!this.options) {
      location.reload();
      return;
    }
    const { settings, step, csv, lesson } = this.session;
    const asked = { settings: settings ?? this.form.read(), step, csv, lesson };
    this.connect();
    this.session.start({ ...asked, resume: false });
  }
}
