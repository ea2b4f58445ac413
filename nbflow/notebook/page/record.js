// One record that is open: what it was, what went wrong, and its steps with their attempts and waits.

import { button, closer, code, copy, h, icon, show } from "./dom.js";
import { duration } from "./numbers.js";
import { chip } from "./states.js";

/** @import { Attempt, Child, Detail, Fields, Printout, Question, Step, Trouble } from "./types.js" */
/** @import { States } from "./states.js" */

/**
 * What the panel asks of the view that it belongs to.
 *
 * @typedef {object} Actions
 * @property {() => void} close
 * @property {(row: number) => void} rerun
 * @property {(row: number, choice: string) => void} answer
 * @property {(words: string, how?: { isWrong: boolean }) => void} say
 */

/**
 * The time that the steps of a record took together.
 *
 * @typedef {{ begun: number, span: number }} Span
 */

export class RecordPanel {
  node = h("section", { class: "nbf-detail", "aria-label": "One record", hidden: true });

  /** @param {States} states @param {Actions} actions */
  constructor(states, actions) {
    this.states = states;
    this.actions = actions;
  }

  load() {
    this.node.replaceChildren(h("div", { class: "nbf-faint" }, "Loading ..."));
    show(this.node, true);
  }

  hide() {
    show(this.node, false);
  }

  /** @param {Detail} detail @param {{ canRerun: boolean, hasCosts: boolean }} how */
  draw(detail, { canRerun, hasCosts }) {
    const isBare = detail.steps.length === 0;
    const parts = [
      this.drawHead(detail, canRerun),
      detail.asks ? this.drawQuestion(detail.row, detail.asks) : null,
      detail.trouble ? drawTrouble(detail.trouble) : null,
      drawPart("Answer", detail.output),
      drawPart("Record", detail.record),
      detail.why ? heading("Why it ran") : null,
      detail.why ? h("div", { class: "nbf-why" }, detail.why) : null,
      ...detail.printed.map(drawOwn),
      heading("Steps"),
      isBare ? this.drawNoSteps(detail) : this.drawWaterfall(detail, hasCosts),
    ];
    this.node.replaceChildren(...parts.filter((part) => part !== null));
  }

  /** @param {Detail} detail @param {boolean} canRerun */
  drawHead({ row, key, flow, state }, canRerun) {
    const { close, rerun } = this.actions;
    const title = h(
      "div",
      { class: "nbf-detailtitle" },
      h("b", { class: "nbf-mono nbf-key", title: key }, key),
      h("span", { class: "nbf-faint" }, flow),
      chip(this.states.looks[state]),
    );
    return h(
      "div",
      { class: "nbf-detailhead" },
      title,
      h("span", { class: "nbf-gap" }),
      button("nbf-quiet nbf-own", "Copy key", () => this.copyKey(key)),
      canRerun ? button("nbf-quiet", "Rerun this record", () => rerun(row)) : null,
      closer(close),
    );
  }

  /** @param {number} row @param {Question} question */
  drawQuestion(row, { what, choices, show: shown, until }) {
    const buttons = choices.map((choice) =>
      button("nbf-choice", choice, () => this.actions.answer(row, choice)),
    );
    return h(
      "section",
      { class: "nbf-question", "aria-label": "Question" },
      h("div", { class: "nbf-asked" }, what),
      shown ? drawFields(shown) : null,
      h("div", { class: "nbf-choices", role: "group", "aria-label": what }, ...buttons),
      until ? h("div", { class: "nbf-faint" }, until) : null,
    );
  }

  /** @param {string} key */
  async copyKey(key) {
    try {
      await copy(key);
      this.actions.say("The key is copied.");
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      this.actions.say(words, { isWrong: true });
    }
  }

  /** @param {Detail} detail */
  drawNoSteps({ state }) {
    const isWhole = this.states.looks[state].name === "CACHED";
    const words = isWhole ? "The whole flow was remembered: nothing ran." : "No step was called.";
    return h("div", { class: "nbf-faint" }, words);
  }

  /** @param {Detail} detail @param {boolean} hasCosts */
  drawWaterfall({ steps, trouble }, hasCosts) {
    const attempts = steps.flatMap((step) => step.attempts);
    const begun = Math.min(...attempts.map((one) => one.at - one.seconds));
    const ended = Math.max(...attempts.map((one) => one.at + one.wait));
    const span = { begun, span: Math.max(ended - begun, 1e-6) };
    return h(
      "div",
      { class: "nbf-waterfall", role: "group", "aria-label": "Steps, attempts and waits" },
      ...steps.map((step) => this.drawStep(step, span, hasCosts, trouble)),
    );
  }

  /**
   * @param {Step} step
   * @param {Span} span
   * @param {boolean} hasCosts
   * @param {Trouble | null} shown the trouble that is shown already
   */
  drawStep(step, span, hasCosts, shown) {
    const { name } = this.states.looks[step.state];
    const made = step.attempts.filter((one) => one.n > 0);
    const told = made.filter((one) => one.trouble || made.length > 1 || one.waited);
    const said = new Set(shown ? [`${shown.error}: ${shown.message}`] : []);
    return h(
      "details",
      { class: "nbf-wstep", open: name === "FAILED" || name === "TIMED_OUT" },
      this.drawSummary(step, made, span, hasCosts),
      step.used ? h("div", { class: "nbf-attempt nbf-faint" }, step.used) : null,
      step.why ? h("div", { class: "nbf-why" }, step.why) : null,
      ...told.flatMap((one) => [
        drawAttempt(one, said),
        ...step.printed.filter(isOf(one)).map(drawPrintout),
      ]),
      ...step.printed
        .filter((one) => !told.some((attempt) => isOf(attempt)(one)))
        .map(drawPrintout),
      drawEnd("input", step.inputs),
      drawEnd("output", step.output),
    );
  }

  /** @param {Step} step @param {Attempt[]} made @param {Span} span @param {boolean} hasCosts */
  drawSummary(step, made, span, hasCosts) {
    const look = this.states.looks[step.state];
    const took = duration(made.reduce((sum, one) => sum + one.seconds, 0));
    const told = [look.word];
    if (made.length > 1) told.push(`${made.length} attempts`);
    if (took) told.push(took);
    return h(
      "summary",
      { "aria-label": `${step.step}: ${told.join(", ")}` },
      h("span", { class: look.css }, icon(look.icon)),
      h("span", { class: "nbf-wname" }, step.step),
      h(
        "span",
        { class: "nbf-wbars" },
        ...step.attempts.flatMap((one) => this.drawBars(one, span)),
      ),
      hasCosts ? h("span", { class: "nbf-wtime" }, step.cost) : null,
      h("span", { class: "nbf-wtime" }, took || look.word),
    );
  }

  /**
   * An attempt, and the wait after it.
   *
   * @param {Attempt} attempt
   * @param {Span} span
   * @returns {Child[]}
   */
  drawBars({ at, seconds, state, wait }, { begun, span }) {
    const percent = (/** @type {number} */ part) => `${(100 * part) / span}%`;
    const style = (/** @type {number} */ from, /** @type {number} */ to) =>
      `left:${percent(from - begun)};width:${percent(to - from)}`;
    // What was to be tried again had failed.
    const ended = this.states.looks[state];
    const { css } = ended.name === "RETRYING" ? this.states.named("FAILED") : ended;
    return [
      h("span", { class: `nbf-try ${css}`, style: style(at - seconds, at) }),
      wait ? h("span", { class: "nbf-pause", style: style(at, at + wait) }) : null,
    ];
  }
}

/** @param {Trouble} trouble */
function drawTrouble({ error, step, message, traceback }) {
  const place = step ? ` at ${step}` : "";
  return h(
    "div",
    { class: "nbf-trouble", role: "group", "aria-label": "What went wrong" },
    h("div", { class: "nbf-error nbf-s-failed" }, `${error}${place}`),
    message ? code(message) : null,
    traceback ? code(traceback, "Traceback, your own frames") : null,
  );
}

/** @param {string} words */
function heading(words) {
  return h("div", { class: "nbf-heading" }, words);
}

/** @param {string} title @param {Fields | null} fields */
function drawPart(title, fields) {
  if (fields === null) return null;
  return h("section", { "aria-label": title }, heading(title), drawFields(fields));
}

/** @param {Fields} fields */
function drawFields(fields) {
  if (fields.length === 1 && !fields[0][0]) return code(fields[0][1]);
  return h(
    "dl",
    { class: "nbf-fields", tabindex: "0" },
    ...fields.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );
}

/** @param {string} word @param {Fields | null} fields */
function drawEnd(word, fields) {
  if (fields === null) return null;
  const label = h("span", { class: "nbf-faint" }, word);
  return h("div", { class: "nbf-io" }, label, drawFields(fields));
}

/** @param {Attempt} attempt @returns {(one: Printout) => boolean} */
function isOf({ n }) {
  return (one) => one.n === n && !one.old;
}

/** @param {Printout} printout */
function drawPrintout(printout) {
  const label = h("span", { class: "nbf-faint" }, `printed ${printout.old}`);
  return h("div", { class: "nbf-io" }, label, drawPrinted(printout));
}

/** What the flow printed outside its steps. @param {Printout} printout */
function drawOwn(printout) {
  const title = `Printed ${printout.old}`;
  return h("section", { "aria-label": title }, heading(title), drawPrinted(printout));
}

/** @param {Printout} printout */
function drawPrinted({ parts }) {
  const texts = parts.map(([stream, text]) =>
    h("span", { class: stream === "cut" ? "nbf-faint" : "", title: stream }, text),
  );
  return h("pre", { tabindex: "0", class: "nbf-code", "aria-label": "printed" }, ...texts);
}

/** @param {Attempt} attempt @param {Set<string>} said errors that stand above it; it adds its own */
function drawAttempt({ n, seconds, wait, waited, trouble }, said) {
  const before = waited ? ` after ${duration(waited)} in line` : "";
  const after = wait ? `, then waited ${duration(wait)}` : "";
  const isSaid = said.has(trouble);
  const same = isSaid ? ": the same error" : "";
  said.add(trouble);
  return h(
    "div",
    { class: "nbf-attempt" },
    h(
      "span",
      { class: "nbf-faint" },
      `attempt ${n}, ${duration(seconds) || "0 s"}${before}${after}${same}`,
    ),
    trouble && !isSaid ? h("span", { class: "nbf-s-failed" }, ` ${trouble}`) : null,
  );
}
