/** What is known of the session: the run, its rows, and what was asked for. */

/** The state of one page, kept by the messages of its source. */
export class Session {
  started = null;
  settings = null;
  rows = [];
  events = [];
  step = 0;
  views = null;
  verdict = null;
  lesson = null;
  csv = null;
  playing = false;
  waiting = false;
  asked = null;
  speed = 1;
  /** The step at which playing stops by itself, such as the end of a lesson. */
  until = undefined;

  #source = null;
  #on;
  #queued = null;
  #stopping = false;

  /** `on` has a function for each kind of message, and `changed()` for buttons and states. */
  constructor(on) {
    this.#on = on;
  }

  /** Use a new connection; what was under way on an old one is over. */
  attach(source) {
    this.#source = source;
    this.waiting = false;
    this.playing = false;
    this.#queued = null;
  }

  /** Send a command as it is. */
  send(command) {
    this.#source.send(command);
  }

  /** Begin a run: `{settings, step, csv, lesson, resume}`. The newest wish waits for the last. */
  start(asked) {
    const resume = asked.resume ?? this.playing;
    if (this.waiting) {
      this.#queued = { ...asked, resume: resume || this.asked.resume };
      return;
    }
    this.waiting = true;
    this.asked = { ...asked, resume };
    // What is undefined, such as `recorded` on a server, is not sent.
    const { settings, step = 0, csv = null, recorded } = asked;
    this.send({ do: "start", settings, step, csv, recorded });
    this.#on.changed();
  }

  /** Train on, `speed` steps for each frame, `until` the end of the lesson if it is ahead. */
  play() {
    this.#stopping = false;
    this.playing = true;
    this.send({ do: "play", steps: this.speed, until: this.until });
    this.#on.changed();
  }

  /** Stop after the frame that is being made. */
  pause() {
    this.#stop();
    this.send({ do: "pause" });
    this.#on.changed();
  }

  /** Train for one frame. */
  advance() {
    this.#stop();
    this.send({ do: "advance", steps: this.speed });
    this.#on.changed();
  }

  /** Go back to the same first weights. */
  rewind() {
    this.#stop();
    this.send({ do: "rewind" });
    this.#on.changed();
  }

  /** Take frames that were on their way for what they are: the last ones. */
  #stop() {
    this.#stopping = true;
    this.playing = false;
  }

  /** Take a message of the source. */
  receive(message) {
    const handlers = {
      started: this.#onStarted,
      frame: this.#onFrame,
      event: this.#onEvent,
      verdict: this.#onVerdict,
      refused: this.#onRefused,
    };
    const handler = handlers[message.is];
    if (handler) handler.call(this, message);
    else this.#on[message.is]?.(message);
  }

  /** Whether a message is of a run that is no longer shown. */
  #isOld(message) {
    return this.waiting || message.run !== this.started?.run;
  }

  #onStarted(message) {
    this.waiting = false;
    if (this.#startQueued()) return;
    const { lesson = null, resume } = this.asked ?? {};
    const csv = message.file ?? null;
    this.#stopping = false;
    Object.assign(this, { started: message, settings: message.settings, csv, lesson });
    Object.assign(this, { rows: [], events: [], step: 0, views: null, verdict: null });
    this.playing = false;
    this.#on.started(message);
    if (resume) this.play();
    this.#on.changed();
  }

  #onRefused(message) {
    const begun = this.waiting;
    this.waiting = false;
    if (begun && this.#startQueued()) return;
    this.playing = false;
    this.#on.refused(message, begun ? this.asked : null);
    this.#on.changed();
  }

  #startQueued() {
    const queued = this.#queued;
    this.#queued = null;
    if (queued) this.start(queued);
    return queued !== null;
  }

  #onFrame(message) {
    const seen = () => this.send({ do: "seen", frame: message.frame });
    if (this.#isOld(message)) {
      seen();
      return;
    }
    // After a rewind, what was recorded later than this frame is no longer so.
    const next = message.rows.length ? message.rows[0][0] : Infinity;
    const kept = this.rows.filter(([step]) => step < next && step <= message.step);
    this.rows = [...kept, ...message.rows];
    this.events = this.events.filter(({ step }) => step <= message.step);
    this.step = message.step;
    this.views = { left: message.left, right: message.right };
    this.playing = message.playing && !this.#stopping;
    // Hidden pages draw no frames: then nothing is seen, and training waits.
    requestAnimationFrame(() => {
      if (!this.#isOld(message)) this.#on.frame(message);
      seen();
    });
    this.#on.changed();
  }

  #onEvent(message) {
    const same = ({ step, text }) => step === message.step && text === message.text;
    if (this.#isOld(message) || this.events.some(same)) return;
    this.events.push({ step: message.step, text: message.text });
    this.#on.event(message);
  }

  #onVerdict(message) {
    if (this.#isOld(message)) return;
    this.verdict = message;
    this.#on.verdict(message);
  }

  /** Return a copy of what tests and curious people may read. */
  plain() {
    const { rows, step, started, verdict, views, settings, lesson, csv, events } = this;
    const { playing, waiting } = this;
    return structuredClone({
      rows, step, started, verdict, views, run: started?.run ?? null,
      state: { settings, lesson, csv, playing, waiting, events },
    });
  }
}
