// A review: one record, what the model says of it, and the labels to choose from. The kernel keeps each decision and
// answers with what stands; review_widget.py says what travels, and page_files.py joins this file with those it needs.

import { button, h, hideStatic, show } from "../notebook/page/dom.js";
import { whole } from "../notebook/page/numbers.js";
import { followTheme } from "../notebook/page/theme.js";

/**
 * @import { Case, Child, Context, FromKernel, Model } from "../notebook/page/types.js"
 * @import { Refused, ReviewAction, Shown } from "../notebook/page/types.js"
 */

const UNANSWERED = 4000; // milliseconds after which a question counts as not heard
const SEARCHABLE = 8; // labels from which on one can search them
const LONG = 60; // characters of a field that is shown in larger letters
const READ_ALOUD = 300;
const NOT_HEARD =
  "The kernel does not answer. What it has confirmed is kept; the last key may not have been heard.";
const NO_ANSWER = "There is no answer to accept: choose a label.";
const ALL_DECIDED =
  "All decided. What you said stands in run.results(), and is the truth for nf.evaluate and nf.compare.";

/**
 * What a key means; null where it means nothing.
 *
 * @param {string} key
 * @param {{ isFinding: boolean, isOnButton: boolean, isRepeated: boolean }} where
 * @returns {ReviewAction | null}
 */
export function actionOf(key, { isFinding, isOnButton, isRepeated }) {
  if (key === "Escape") return { leave: true };
  if (isFinding) return key === "Enter" && !isRepeated ? { first: true } : null;
  if (key === "Enter") return isOnButton ? null : { accept: true };
  if (key === "ArrowRight") return { go: 1 };
  if (key === "ArrowLeft") return { go: -1 };
  if (key === "u" || key === "U") return { ask: "undo" };
  if (key === "/") return { find: true };
  if (/^[0-9]$/.test(key)) return { choose: placeOfDigit(Number(key)) };
  return null;
}

/** 1 is the first label, and 0 the tenth. @param {number} digit */
const placeOfDigit = (digit) => (digit + 9) % 10;

/** The digit that chooses a label; nothing behind the tenth. @param {number} place */
const digitOf = (place) => (place < 10 ? String((place + 1) % 10) : "");

/** The labels that fit what is searched. @param {Shown["choices"]} choices @param {string} words */
export function fitting(choices, words) {
  const wanted = words.trim().toLowerCase();
  const fits = choices.filter(([name, about]) => `${name} ${about}`.toLowerCase().includes(wanted));
  return fits.map(([name]) => name);
}

/** The record in a sentence, for those who hear it. @param {Shown} shown @param {Case} one */
export function spoken({ at, total }, one) {
  const texts = one.fields.map(([, text]) => text).join(". ");
  const parts = [`Record ${at + 1} of ${total}, ${one.key}.`, `${texts.slice(0, READ_ALOUD)}.`];
  if (one.label) {
    const sure = one.confidence == null ? "" : `, ${percent(one.confidence)}% sure`;
    parts.push(`The model says ${one.label}${sure}.`);
  } else parts.push("The model gave no answer.");
  if (one.decision) parts.push(`Decided: ${one.decision[0]}.`);
  return parts.join(" ");
}

/** @param {number} share */
const percent = (share) => Math.round(100 * share);

/** @param {...string} names */
const keycap = (...names) => h("kbd", {}, ...names);

/** @param {...Child} parts */
const hint = (...parts) => h("span", { class: "nbr-hint" }, ...parts);

export class ReviewView {
  id = Math.random().toString(36).slice(2, 12);
  asked = 0; // the number of the latest question, and of the latest that was answered
  answered = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  waiting;
  /** What the kernel said last. @type {Shown | null} */
  shown = null;
  abort = new AbortController();

  title = h("span", { class: "nbf-title" });
  count = h("span", { class: "nbf-faint" });
  bar = h("span");
  progress = h(
    "div",
    {
      class: "nbr-progress",
      role: "progressbar",
      "aria-label": "Decided",
      "aria-valuemin": "0",
    },
    this.bar,
  );
  undo = button("nbf-quiet", "Undo", () => this.ask("undo"));
  previous = button("nbf-quiet", "\u2190 Previous", () => this.go(-1));
  next = button("nbf-quiet", "Next \u2192", () => this.go(1));
  about = h("div", { class: "nbr-about-sample nbf-faint", hidden: true });
  end = h("div", { class: "nbr-end", hidden: true }, ALL_DECIDED);
  where = h("div", { class: "nbr-where" });
  list = h("dl");
  fields = h(
    "div",
    { class: "nbr-fields", tabindex: "0", role: "group", "aria-label": "The record" },
    this.list,
  );
  said = h("div", { class: "nbr-said" });
  accept = h(
    "button",
    {
      type: "button",
      class: "nbf-button nbr-accept",
      hidden: true,
      "aria-keyshortcuts": "Enter",
      onclick: () => this.acceptAnswer(),
    },
    "Accept",
    keycap("Enter"),
  );
  find = h("input", {
    type: "search",
    class: "nbf-search nbr-find",
    placeholder: "Find a label",
    "aria-label": "Find a label",
    oninput: () => this.drawChoices(),
  });
  choices = h("div", {
    class: "nbr-choices",
    role: "group",
    "aria-label": "Labels to choose from",
  });
  kept = h("span", { class: "nbr-kept", role: "status" });
  notice = h("div", { class: "nbf-notice nbf-wrong", role: "alert", hidden: true });
  speech = h("div", { class: "nbf-away", "aria-live": "polite" });

  /** @param {Model} model @param {HTMLElement} el */
  constructor(model, el) {
    this.model = model;
    const answer = [this.said, this.accept, this.find, this.choices];
    this.body = h(
      "div",
      { class: "nbr-body" },
      h("div", { class: "nbr-record" }, this.where, this.fields),
      h("div", { class: "nbr-answer" }, ...answer),
    );
    this.root = h(
      "section",
      {
        class: "nbf nbr nbf-light",
        tabindex: "0",
        "aria-label": "Review of labels",
        "data-lm-suppress-shortcuts": "true",
      },
      this.buildHead(),
      this.about,
      this.progress,
      this.notice,
      this.speech,
      this.end,
      this.body,
      this.buildFoot(),
    );
    el.append(this.root);
    const { signal } = this.abort;
    this.root.addEventListener("keydown", (event) => this.press(event), { signal });
    this.onMessage = (/** @type {FromKernel} */ message) => this.take(message);
    this.model.on("msg:custom", this.onMessage);
    this.endTheme = followTheme(this.root, el);
    this.ask("first");
  }

  buildHead() {
    const gap = h("span", { class: "nbf-gap" });
    const keys = h("div", { class: "nbr-keys" }, this.undo, this.previous, this.next);
    return h("div", { class: "nbr-head" }, this.title, this.count, gap, keys);
  }

  buildFoot() {
    return h(
      "div",
      { class: "nbr-foot" },
      h("span", { class: "nbr-click" }, "Click here, then:"),
      hint(keycap("Enter"), "accept"),
      hint(keycap("1"), "to", keycap("9"), "choose"),
      hint(keycap("\u2190"), keycap("\u2192"), "move"),
      hint(keycap("U"), "undo"),
      hint(keycap("/"), "find a label"),
      h("span", { class: "nbf-gap" }),
      this.kept,
    );
  }

  remove() {
    this.abort.abort();
    this.model.off("msg:custom", this.onMessage);
    this.endTheme();
    clearTimeout(this.waiting);
    this.root.remove();
  }

  // What is said.

  /** @param {string} kind @param {object} [more] */
  ask(kind, more = {}) {
    this.asked += 1;
    const at = this.shown?.at ?? 0;
    this.model.send({ t: kind, view: this.id, n: this.asked, at, ...more });
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.warn(NOT_HEARD), UNANSWERED);
  }

  get isBusy() {
    return this.asked !== this.answered;
  }

  /** @param {number} by */
  go(by) {
    if (!this.shown || this.isBusy) return;
    const { at, total } = this.shown;
    this.ask("look", { at: Math.min(Math.max(at + by, 0), total - 1) });
  }

  /** @param {string} label */
  decide(label) {
    // One at a time: a key that is pressed before the next record is there would decide what nobody has seen.
    if (!this.shown?.case || this.isBusy) return;
    this.ask("decide", { label });
    this.root.focus({ preventScroll: true });
  }

  acceptAnswer() {
    const one = this.shown?.case;
    if (one?.label != null) this.decide(one.label);
    else if (one && !this.isBusy) this.tell(NO_ANSWER);
  }

  /** Say what a key did not do. @param {string} words */
  tell(words) {
    this.kept.textContent = words;
  }

  /** @param {FromKernel} message */
  take(message) {
    if (message.t !== "show" && message.t !== "wrong") return;
    if (message.view !== this.id) {
      const hasOtherDecided = message.t === "show" && this.shown && !this.isBusy;
      if (hasOtherDecided) this.ask("look");
    } else if (message.n === this.asked) this.takeAnswer(message);
  }

  /** @param {Shown | Refused} message */
  takeAnswer(message) {
    clearTimeout(this.waiting);
    this.answered = message.n;
    if (message.t === "wrong") {
      this.warn(message.message);
      return;
    }
    const isMoved = this.shown?.at !== message.at;
    this.shown = message;
    show(this.notice, false);
    if (message.said) this.tell(keptWords(message.said));
    else if (isMoved) this.tell("");
    if (isMoved) this.find.value = "";
    this.draw(message);
    if (isMoved) this.fields.scrollTop = 0;
  }

  /** @param {string} words */
  warn(words) {
    this.answered = this.asked;
    show(this.notice, true);
    this.notice.textContent = words;
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation(); // the notebook's shortcuts are not meant for the page: `d d` would delete the cell
    const target = /** @type {Element} */ (event.target);
    const isFinding = target === this.find;
    // A key that is held would decide one record after the other, and nobody would have seen them.
    if (event.repeat && !event.key.startsWith("Arrow") && !isFinding) {
      event.preventDefault();
      return;
    }
    const isOnButton = target.closest("button") !== null;
    const action = actionOf(event.key, { isFinding, isOnButton, isRepeated: event.repeat });
    if (action && this.perform(action)) event.preventDefault();
  }

  /** Returns whether there was anything to do. @param {ReviewAction} action */
  perform(action) {
    if ("leave" in action) this.leaveSearch();
    else if ("first" in action) this.chooseFirst();
    else if ("accept" in action) this.acceptAnswer();
    else if ("go" in action) this.go(action.go);
    else if ("find" in action) this.find.focus();
    else if ("ask" in action) {
      if (!this.isBusy) this.ask(action.ask);
    } else {
      if (!this.shown) return false;
      const choice = this.shown.choices[action.choose];
      if (choice) this.decide(choice[0]);
      else this.tell(`There is no label on ${digitOf(action.choose)}.`);
    }
    return true;
  }

  leaveSearch() {
    this.find.value = "";
    this.drawChoices();
    this.root.focus({ preventScroll: true });
  }

  chooseFirst() {
    const [first] = fitting(this.shown?.choices ?? [], this.find.value);
    if (this.find.value && first) this.decide(first);
    else this.tell(this.find.value ? "No label fits." : "Type a part of a label.");
  }

  // What there is to see.

  /** @param {Shown} shown */
  draw(shown) {
    const { column, at, total, done, case: one } = shown;
    const left = total - done;
    const counted = `${whole(done)} of ${whole(total)} decided, ${whole(left)} left`;
    this.title.textContent = `Review of ${column}`;
    this.count.textContent = total ? counted : "No record to review.";
    this.about.textContent = shown.about;
    show(this.about, shown.about !== "");
    this.progress.setAttribute("aria-valuenow", String(done));
    this.progress.setAttribute("aria-valuemax", String(total));
    this.bar.style.width = `${total ? (100 * done) / total : 0}%`;
    show(this.end, left <= 0 && total > 0);
    show(this.body, one !== null);
    this.previous.disabled = at <= 0;
    this.next.disabled = at >= total - 1;
    if (!one) return;
    this.where.replaceChildren(
      h("b", { class: "nbf-mono" }, one.key),
      h("span", { class: "nbf-faint" }, `record ${whole(at + 1)} of ${whole(total)}`),
    );
    this.list.replaceChildren(...drawFields(one.fields));
    this.said.replaceChildren(...drawSaid(one, shown.by));
    show(this.accept, Boolean(one.label) && isChoice(one.label, shown.choices));
    this.drawChoices();
    this.speech.textContent = spoken(shown, one);
  }

  drawChoices() {
    if (!this.shown?.case) return;
    const { choices, case: one } = this.shown;
    const fits = new Set(fitting(choices, this.find.value));
    show(this.find, choices.length >= SEARCHABLE);
    const buttons = choices.map(([name, about], place) =>
      fits.has(name) ? this.drawChoice(name, about, place, one) : null,
    );
    this.choices.replaceChildren(...buttons.filter((node) => node !== null));
  }

  /** @param {string} name @param {string} about @param {number} place @param {Case} one */
  drawChoice(name, about, place, one) {
    const isChosen = one.decision?.[0] === name;
    const digit = digitOf(place);
    return h(
      "button",
      {
        type: "button",
        class: `nbr-choice${isChosen ? " nbr-chosen" : ""}`,
        "aria-pressed": String(isChosen),
        "aria-keyshortcuts": digit || null,
        onclick: () => this.decide(name),
      },
      digit ? keycap(digit) : h("span"),
      h("span", { class: "nbr-name" }, name),
      drawTag(name, one),
      about ? h("span", { class: "nbr-about" }, about) : null,
    );
  }
}

/** @param {string} said */
function keptWords(said) {
  return said === "There is nothing to take back." ? said : `Kept: ${said}`;
}

/** @param {string | null} label @param {Shown["choices"]} choices */
function isChoice(label, choices) {
  return choices.some(([choice]) => choice === label);
}

/** @param {Case["fields"]} fields */
function drawFields(fields) {
  return fields.flatMap(([name, text]) => {
    const isLong = text.length > LONG || fields.length === 1;
    return [h("dt", {}, name), h("dd", { class: isLong ? "nbr-long" : "" }, text || "\u2013")];
  });
}

/**
 * What the model says, and what a person decided.
 *
 * @param {Case} one
 * @param {string} by who is here
 */
function drawSaid({ label, confidence, reason, missing, decision }, by) {
  const answer = label ?? missing;
  const parts = [
    h("span", { class: "nbf-faint" }, label ? "The model says" : "The model gave no answer"),
    h("span", { class: "nbr-label" }, answer),
  ];
  if (confidence != null) parts.push(drawConfidence(confidence));
  if (reason) parts.push(h("span", { class: "nbr-reason" }, reason));
  if (decision) parts.push(drawDecision(decision, by));
  return parts;
}

/** @param {number} confidence */
function drawConfidence(confidence) {
  const bar = h("span");
  bar.style.width = `${100 * Math.min(1, Math.max(0, confidence))}%`;
  const words = `${percent(confidence)}% sure, as it says`;
  return h("span", { class: "nbr-sure" }, h("i", { "aria-hidden": "true" }, bar), words);
}

/** @param {NonNullable<Case["decision"]>} decision @param {string} by */
function drawDecision([label, who, at], by) {
  const when = new Date(1000 * at);
  const clock = when.toLocaleString([], { dateStyle: "short", timeStyle: "short" });
  return h(
    "span",
    { class: "nbr-tag nbr-yours" },
    `Decided: ${label}, by ${who === by ? "you" : who} `,
    h("time", { datetime: when.toISOString() }, clock),
  );
}

/**
 * What stands beside a label: that it was decided, or is what the model says.
 *
 * @param {string} name
 * @param {Case} one
 */
function drawTag(name, { label, decision }) {
  if (decision?.[0] === name) return h("span", { class: "nbr-tag nbr-yours" }, "\u2713 decided");
  if (label === name) return h("span", { class: "nbr-tag" }, "model");
  return h("span");
}

/** Show the review in a cell; returns what takes it away again. @param {Context} context */
function render({ model, el }) {
  const view = new ReviewView(model, el);
  const hiding = hideStatic(model.get("name"));
  return () => {
    view.remove();
    hiding.remove();
  };
}

export default { render };
