// A live table: what all of them have, whatever they show. The kernel owns the rows; live_table.py says what travels.

import { button, h, show, text } from "./dom.js";
import { Grid } from "./grid.js";
import { States } from "./states.js";
import { Talk } from "./talk.js";
import { followTheme } from "./theme.js";

/**
 * @import { Answer, Child, FromKernel, GridOptions, Model, Page, Pending } from "./types.js"
 * @import { Query, Request, RowOwner, Tick } from "./types.js"
 */

// Milliseconds.
const BEAT = 1000;
const SPOKEN = 15000; // between two sentences that are read aloud
const FADING = 8000;
const TYPING = 200;
/** Pixels from which on what is open stands beside the list, as in table.css. */
const WIDE = 760;

/**
 * @template {Query} Q what it asks for
 * @template {Tick} T what it is told
 * @template Row
 * @implements {RowOwner<Row>}
 */
export class LiveView {
  spoken = 0; // when a sentence was read aloud
  isAsking = false;
  isSeen = true;
  isGone = false;
  painting = 0; // the frame that was asked for
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  typing;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  fading;
  abort = new AbortController();

  sentence = h("div", { class: "nbf-sentence" });
  notice = h("div", { class: "nbf-notice", role: "status", hidden: true });
  speech = h("div", { class: "nbf-away", "aria-live": "polite" });
  warning = h("div", { class: "nbf-warning", role: "status", hidden: true });
  count = h("span");
  header = h("div", { class: "nbf-header" });
  root = h("div", { class: "nbf nbf-light", "data-lm-suppress-shortcuts": "true" });
  clear = button("nbf-quiet", "Show all", () => this.showAll());

  /**
   * The constructor of a table itself fills `header`, calls `place`, and then `start`.
   *
   * @param {Model} model
   * @param {HTMLElement} el
   * @param {object} options
   * @param {Q} options.plain what it asks for until somebody touches it
   * @param {string} options.search what one searches
   * @param {Omit<GridOptions, "id">} options.grid
   */
  constructor(model, el, { plain, search, grid }) {
    this.model = model;
    this.el = el;
    this.states = new States(model.get("looks"));
    this.plain = plain;
    this.query = { ...plain };
    this.id = Math.random().toString(36).slice(2, 12);
    this.talk = new Talk(this.id, (message) => model.send(message), Date.now());
    /** @type {T | null} the latest tick */
    this.latest = null;
    /** @type {Grid<Row>} */
    this.grid = new Grid(this, { id: this.id, ...grid });
    this.search = h("input", {
      type: "search",
      class: "nbf-search",
      placeholder: search,
      "aria-label": search,
      oninput: () => this.searchSoon(),
    });
  }

  /**
   * Put what every table has, and the parts of this one, into their places.
   *
   * @param {...Child} parts
   */
  place(...parts) {
    // Beside the title, where nothing below has to make room for it.
    const gap = this.header.querySelector(".nbf-gap");
    this.header.insertBefore(this.notice, gap);
    this.root.append(this.header, this.sentence, this.warning, this.speech);
    const footer = h("div", { class: "nbf-footer nbf-faint" }, this.count);
    this.root.append(...parts.filter((part) => part != null), footer);
    this.el.append(this.root);
  }

  // What a table itself says. The latest tick is there in all of these.

  /** Draw what `head`, the latest tick, tells. @param {T} _head */
  draw(_head) {}

  /** A tick came. @param {T} _head @param {T | null} _before */
  ticked(_head, _before) {}

  /** Close what is open. */
  close() {}

  /** The Escape key was pressed. */
  escape() {}

  /** @param {HTMLElement[]} _cells @param {Row} _row */
  fillRow(_cells, _row) {
    return "";
  }

  /** @param {HTMLElement[]} _cells @param {Row} _row */
  refreshRow(_cells, _row) {}

  /** @param {Row} _row */
  openRow(_row) {}

  /** @param {Row} _row */
  isOpen(_row) {
    return false;
  }

  /** @param {string} _key @param {Row} _row */
  pressRow(_key, _row) {}

  // Its life.

  start() {
    const { signal } = this.abort;
    this.grid.listen({ signal });
    this.root.addEventListener("keydown", (event) => this.press(event), { signal });
    this.onMessage = (/** @type {FromKernel} */ message) => this.take(message);
    this.model.on("msg:custom", this.onMessage);
    this.endTheme = followTheme(this.root, this.el);
    this.resizes = new ResizeObserver(() => this.paint());
    this.resizes.observe(this.root);
    this.sight = new IntersectionObserver((entries) => this.see(entries));
    this.sight.observe(this.root);
    this.pulse = setInterval(() => this.beat(), BEAT);
    this.ask();
  }

  remove() {
    this.talk.leave();
    if (this.onMessage) this.model.off("msg:custom", this.onMessage);
    this.abort.abort();
    this.endTheme?.();
    this.resizes?.disconnect();
    this.sight?.disconnect();
    clearInterval(this.pulse);
    clearTimeout(this.typing);
    cancelAnimationFrame(this.painting);
    this.isGone = true;
    this.root.remove();
  }

  /** @param {IntersectionObserverEntry[]} entries */
  see(entries) {
    const isSeen = entries[entries.length - 1].isIntersecting;
    if (isSeen === this.isSeen) return;
    this.isSeen = isSeen;
    this.ask();
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    // The notebook's shortcuts are not meant for the table: `d d` would delete the cell.
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
    if (event.key === "Escape") this.escape();
  }

  // To the kernel.

  /** Ask for the rows that are seen, once however often this is called in a turn. */
  ask() {
    if (this.isAsking || this.isGone) return;
    this.isAsking = true;
    queueMicrotask(() => {
      this.isAsking = false;
      const { wanted, isHeld } = this.grid;
      const view = { ...wanted, held: isHeld, seen: this.isSeen, query: this.question() };
      this.talk.ask(view, Date.now());
    });
  }

  /** The query as the kernel takes it. @returns {object} */
  question() {
    return this.query;
  }

  /** @param {string} kind @param {Request} [more] */
  request(kind, more = {}) {
    this.talk.request(kind, more, Date.now());
  }

  /** @param {string} what @param {Request} [more] */
  act(what, more = {}) {
    this.say(what === "stop" ? "Asking the run to stop ..." : "Asking the kernel ...");
    this.request("act", { what, ...more });
  }

  /** @param {Partial<Q>} change */
  filter(change) {
    Object.assign(this.query, change);
    if (this.search.value !== this.query.text) this.search.value = this.query.text;
    this.grid.toTop();
    this.ask();
    this.paint();
  }

  showAll() {
    const { sort, descending } = this.query;
    this.filter({ ...this.plain, sort, descending });
  }

  /** @param {string} column */
  sort(column) {
    const isSame = this.query.sort === column;
    const descending = isSame ? !this.query.descending : this.startsDescending(column);
    this.filter(/** @type {Partial<Q>} */ ({ sort: column, descending }));
  }

  /**
   * Does the first click on the head of a column bring what is largest to the top?
   *
   * @param {string} _column
   */
  startsDescending(_column) {
    return false;
  }

  searchSoon() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => {
      this.filter(/** @type {Partial<Q>} */ ({ text: this.search.value.trim() }));
    }, TYPING);
  }

  // From the kernel.

  /** @param {FromKernel} message */
  take(message) {
    this.hears();
    switch (message.t) {
      case "tick":
        this.takeTick(/** @type {T} */ (message));
        break;
      case "said":
      case "detail":
      case "csv":
      case "compared":
        this.takeAnswer(message);
    }
  }

  /** The kernel said something, if only that it lives. */
  hears() {
    this.talk.heard = Date.now();
  }

  /** @param {T} head */
  takeTick(head) {
    const { latest, talk } = this;
    if (latest && head.n < latest.n) return; // overtaken
    const page = talk.takeRows(head, this.isPlain, Date.now());
    if (page) this.grid.page = /** @type {Page<Row>} */ (page);
    if (latest && this.isSeen && !talk.isKnownIn(head)) this.ask(); // the kernel has forgotten it
    this.latest = head;
    this.ticked(head, latest);
    this.paint();
  }

  /** @param {Answer} message */
  takeAnswer(message) {
    if (message.t === "said" && !message.id) {
      this.say("text" in message ? message.text : message.ask, { isWrong: true });
    } else if (message.id === this.id) this.answer(message, this.talk.takeAnswer(message));
  }

  get isPlain() {
    return JSON.stringify(this.query) === JSON.stringify(this.plain);
  }

  /** Is there less to be seen than all, whatever the order? */
  get isNarrowed() {
    const unsorted = (/** @type {Q} */ query) =>
      JSON.stringify({ ...query, sort: "", descending: false });
    return unsorted(this.query) !== unsorted(this.plain);
  }

  /** @param {Answer} message @param {Pending | undefined} request */
  answer(message, request) {
    if (message.t !== "said") return;
    if ("ask" in message) {
      const { what, row } = message.act;
      this.say(message.ask, { agree: () => this.act(what, { row, sure: true }) });
    } else {
      if (message.wrong && request?.kind === "open") this.close();
      this.say(message.text, { isWrong: message.wrong });
    }
  }

  /**
   * Say something above the table.
   *
   * @param {string} words
   * @param {{ isWrong?: boolean, agree?: () => void }} [how]
   */
  say(words, { isWrong = false, agree } = {}) {
    const hide = () => show(this.notice, false);
    this.notice.replaceChildren(h("span", { title: words }, words));
    if (agree) this.notice.append(button("nbf-quiet", "Run again", agree));
    this.notice.append(button("nbf-quiet nbf-own", agree ? "No" : "Dismiss", hide));
    this.notice.classList.toggle("nbf-wrong", isWrong);
    this.notice.classList.toggle("nbf-asking", Boolean(agree));
    show(this.notice, true);
    clearTimeout(this.fading);
    if (!isWrong && !agree) this.fading = setTimeout(hide, FADING);
  }

  /** Take back what was said, unless it was wrong or asks something. */
  unsay() {
    const { classList } = this.notice;
    const stays = classList.contains("nbf-asking") || classList.contains("nbf-wrong");
    if (!stays) show(this.notice, false);
  }

  get isDead() {
    return this.talk.isDead(Date.now());
  }

  /** Does what is open stand beside the list? */
  get isWide() {
    return this.root.clientWidth >= WIDE;
  }

  /** The kernel's time, in seconds. */
  get now() {
    return this.talk.kernelTime(Date.now());
  }

  beat() {
    const now = Date.now();
    for (const request of this.talk.unheard(now)) {
      if (request.what === "stop") this.say(STOP_UNHEARD, { isWrong: true });
      else this.say(BUSY);
    }
    if (this.isSeen && this.talk.isLost(now)) this.ask();
    const sentence = this.latest?.sentence ?? "";
    if (this.latest && now - this.spoken > SPOKEN && sentence !== this.speech.textContent) {
      this.spoken = now;
      text(this.speech, sentence);
    }
    this.paint();
  }

  // Painting: once a frame, and only what differs.

  paint() {
    if (this.painting || this.isGone) return;
    this.painting = requestAnimationFrame(() => {
      this.painting = 0;
      if (this.latest && !this.isGone) this.paintNow(this.latest);
    });
  }

  /** @param {T} head */
  paintNow(head) {
    text(this.sentence, head.sentence);
    const isDead = this.isDead;
    if (!isDead && this.root.classList.contains("nbf-dead")) this.enable(true);
    this.root.classList.toggle("nbf-dead", isDead);
    show(this.clear, this.isNarrowed);
    this.draw(head);
    if (isDead) this.enable(false);
    this.talk.ack(head.n);
  }

  /**
   * Nothing can be asked of a kernel that is gone; what the page does by itself stays.
   *
   * @param {boolean} on
   */
  enable(on) {
    /** @type {NodeListOf<HTMLButtonElement | HTMLInputElement>} */
    const nodes = this.root.querySelectorAll("button:not(.nbf-own), input");
    for (const node of nodes) node.disabled = !on;
  }

  /** @param {string} words */
  warn(words) {
    text(this.warning, words && `⚠ ${words}`);
    show(this.warning, Boolean(words));
  }
}

const STOP_UNHEARD =
  "The kernel is busy with a cell and does not hear the table. Press the kernel's own Stop (■): it ends the run gracefully.";
const BUSY = "The kernel is busy with a cell; it will answer when the cell has ended.";
