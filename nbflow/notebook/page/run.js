// The live table of one run.

import { Bar } from "./bar.js";
import { attr, button, h, relabel, save, show, svg, text } from "./dom.js";
import { Lanes } from "./lanes.js";
import { LiveView } from "./live.js";
import { duration, rate, several, whole } from "./numbers.js";
import { FewPills } from "./pills.js";
import { RecordPanel } from "./record.js";
import { chip } from "./states.js";
import { Tiles, toggled } from "./tiles.js";
import { trackBar } from "./track.js";

/**
 * @import { Answer, Cause, Column, Detail, FlowLane, Label, Model, Pending, Row } from "./types.js"
 * @import { RunQuery, RunTick } from "./types.js"
 */

/** @type {RunQuery} */
const PLAIN_RUN = {
  text: "",
  flow: null,
  states: [],
  step: "",
  cause: null,
  answer: null,
  sort: "state",
  descending: false,
};
/** @type {Column[]} */
const RECORD_COLUMNS = [
  ["state", "State"],
  ["key", "Record"],
  ["words", "Text"],
  ["flow", "Flow"],
  ["answer", "Answer"],
  [null, "Steps"],
  ["attempts", "Try"],
  ["seconds", "Time"],
  ["cost", "Cost"],
];
const RECORDS = 12; // rows at most
/** The tiles in their order; of the others a tile is shown where there are any. */
const TILES = [
  "QUEUED",
  "RUNNING",
  "RETRYING",
  "WAITING",
  "COMPLETED",
  "SAME",
  "CACHED",
  "FAILED",
  "TIMED_OUT",
  "CANCELLED",
  "INTERRUPTED",
];
const ALWAYS = ["QUEUED", "RUNNING", "COMPLETED", "CACHED", "FAILED"];
/** The parts of a bar, from the left; what is queued is the rest of it. */
export const BAR = [
  "COMPLETED",
  "SAME",
  "CACHED",
  "RUNNING",
  "RETRYING",
  "WAITING",
  "FAILED",
  "TIMED_OUT",
  "CANCELLED",
  "INTERRUPTED",
];
const LARGEST_FIRST = ["seconds", "attempts", "cost"];
const RATES = 40; // that the line beside the rate is drawn of
const CAUSES = 2; // that are shown until one asks for more
const LABELS = 2; // likewise
const KEY_END = 6; // characters of a key that are always shown

/** @param {string} word */
function figureOf(word) {
  const number = h("b");
  const label = h("span", { class: "nbf-faint" }, word);
  return { number, label, node: h("div", { class: "nbf-figure" }, number, label) };
}

/** @extends {LiveView<RunQuery, RunTick, Row>} */
export class RunView extends LiveView {
  /** The number of the record that is open. @type {number | null} */
  opened = null;
  /** @type {number[]} */
  rates = [];
  /** Does a person want the rows shown or folded away? @type {boolean | null} */
  wantsRows = null;

  stop = button("nbf-stop", "Stop", () => this.act("stop"), "slash");
  rerunFailed = button("", "Rerun failed", () => this.act("rerun_failed"), "again");
  unfold = button("nbf-quiet nbf-own", "Show records", () => this.fold(!this.isFolded), "down");
  badge = h("span", { class: "nbf-runstate" });
  title = h("span", { class: "nbf-title" });
  about = h("span", { class: "nbf-faint nbf-about" });
  figures = {
    rate: figureOf("records/s"),
    left: figureOf("left"),
    cost: figureOf("spent"),
    tokens: figureOf("tokens"),
    saved: figureOf("saved"),
  };
  line = svg("polyline", {});
  spark = svg(
    "svg",
    {
      class: "nbf-spark",
      viewBox: "0 0 60 20",
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    },
    this.line,
  );
  bar = new Bar("nbf-bar");
  causes = new FewPills("Failures by cause: filters", {
    few: CAUSES,
    word: "cause",
    paint: () => this.paint(),
  });
  answers = new FewPills("Answers by label: filters", {
    few: LABELS,
    word: "label",
    css: "nbf-plain",
    paint: () => this.paint(),
  });
  rerunShown = button("nbf-quiet", "Rerun these", () => this.act("rerun_shown"), "again");
  download = button("nbf-quiet", "Failures as CSV", () => this.request("csv"));

  /** @param {Model} model @param {HTMLElement} el */
  constructor(model, el) {
    const grid = { label: "Records", columns: RECORD_COLUMNS, most: RECORDS };
    super(model, el, { plain: PLAIN_RUN, search: "Search records and answers", grid });
    /** @type {Tiles<number>} */
    this.tiles = new Tiles("Records by state: filters", (code) =>
      this.filter({ states: toggled(this.query.states, code) }),
    );
    this.lanes = new Lanes(this.states, this.query, (place) => this.filter(place));
    this.panel = new RecordPanel(this.states, {
      close: () => this.close(),
      rerun: (row) => this.act("rerun_one", { row }),
      answer: (row, choice) => this.act("answer", { row, choice }),
      say: (words, how) => this.say(words, how),
    });
    const { rate, left, cost, tokens, saved } = this.figures;
    rate.node.append(this.spark);
    saved.node.title = "by what was remembered";
    const figures = [rate, left, cost, tokens, saved].map((figure) => figure.node);
    const gap = h("span", { class: "nbf-gap" });
    this.header.append(
      this.badge,
      this.title,
      this.about,
      gap,
      this.unfold,
      this.rerunFailed,
      this.stop,
    );
    const actions = h("div", { class: "nbf-actions" }, this.clear, this.rerunShown, this.download);
    this.place(
      h("div", { class: "nbf-numbers" }, this.tiles.node, ...figures),
      this.bar.node,
      this.lanes.node,
      this.lanes.more,
      h("div", { class: "nbf-toolbar" }, this.search, this.answers.node, this.causes.node, actions),
      h("div", { class: "nbf-split" }, this.grid.node, this.panel.node),
    );
    this.start();
  }

  /** @override */
  question() {
    const states = this.query.states.map((code) => this.states.looks[code].name);
    return { ...this.query, states };
  }

  /** @override @param {string} column */
  startsDescending(column) {
    return LARGEST_FIRST.includes(column);
  }

  /** @override */
  escape() {
    if (this.opened !== null) this.close();
  }

  /** @override @param {RunTick} head @param {RunTick | null} before */
  ticked(head, before) {
    // What could not be done with an open record while the run went on can be done at its end.
    const isTurned = before !== null && before.state !== head.state;
    // So does a record that has waited, perhaps between two ticks.
    const waits = this.states.code("WAITING");
    const isStirred = before !== null && before.counts[waits] !== head.counts[waits];
    if ((isTurned || isStirred) && this.opened !== null) {
      this.request("open", { row: this.opened });
    }
    // What was said of the run under way, such as "Running 60 again", is over with it.
    if (isTurned && head.state !== "RUNNING") this.unsay();
    if (head.state === "RUNNING" && head.rate != null) {
      this.rates = [...this.rates.slice(1 - RATES), head.rate];
    }
  }

  /** @override @param {Answer} message @param {Pending | undefined} request */
  answer(message, request) {
    if (message.t === "detail") {
      if (message.row === this.opened) this.drawRecord(message);
    } else if (message.t === "csv") {
      save(message.name, message.text);
      this.say("The failures are in your downloads.");
    } else super.answer(message, request);
  }

  /** @override @param {RunTick} head */
  draw(head) {
    this.drawHead(head);
    this.drawButtons(head);
    this.drawFold(head);
    this.drawFigures(head);
    this.drawSpark(head);
    this.drawTiles(head);
    this.lanes.draw(head);
    this.drawCauses(head);
    this.drawAnswers(head);
    this.drawCount(head);
    this.root.classList.toggle("nbf-oneflow", head.flows.length < 2);
    this.root.classList.toggle("nbf-costs", head.costs);
    this.root.classList.toggle("nbf-stepped", head.flows.some(hasSteps));
    this.root.classList.toggle("nbf-textless", this.isTextless);
    this.grid.draw(this.query, emptyWords(head), this.opened !== null && this.isWide);
  }

  /**
   * Are the rows folded away? Those of a run that has nothing to tell are, until a person
   * wants them.
   */
  get isFolded() {
    const { latest } = this;
    const isTouched = !this.isPlain || this.opened !== null;
    const isQuiet = latest?.state === "COMPLETED" && latest.again === 0;
    return this.wantsRows === null ? isQuiet && !isTouched : !this.wantsRows;
  }

  /** @param {boolean} away */
  fold(away) {
    this.wantsRows = !away;
    this.paint();
  }

  /** @param {RunTick} head */
  drawFold(head) {
    const isFolded = this.isFolded;
    this.root.classList.toggle("nbf-folded", isFolded);
    show(this.unfold, isFolded || this.wantsRows === true);
    relabel(this.unfold, isFolded ? `Show ${several(head.records, "record")}` : "Hide records");
    attr(this.unfold, "aria-expanded", !isFolded);
  }

  /** Is it under way, as far as one hears? @param {RunTick} head */
  isMoving(head) {
    return head.state === "RUNNING" && !this.isDead;
  }

  /** @param {RunTick} head */
  tookOf(head) {
    const end = this.isMoving(head) ? this.now : head.ended;
    return duration(end - head.began - head.idle) || "0 s";
  }

  /** @param {RunTick} head */
  drawHead(head) {
    if (this.badge.dataset.state !== head.state) {
      this.badge.dataset.state = head.state;
      this.badge.replaceChildren(chip(this.states.run(head.state)));
    }
    text(this.title, head.event);
    // The sentence of a run that has ended says how long it took.
    const time = head.state === "RUNNING" ? ` · ${this.tookOf(head)}` : "";
    text(this.about, `run ${head.run}${time}`);
    this.root.classList.toggle("nbf-running", this.isMoving(head));
    const silent = `The kernel does not answer: this is how the run stood. What is done is on disk: nf.open_run("${head.run}") shows it.`;
    this.warn(this.isDead ? silent : head.remarks.join(" "));
  }

  /** @param {RunTick} head */
  drawButtons(head) {
    const dead = this.isDead;
    const running = head.state === "RUNNING";
    const { total } = this.grid.page;
    const kind = head.again === head.failed ? "failed" : "unfinished";
    show(this.stop, running && !head.readonly);
    this.stop.disabled = dead || head.stopping;
    relabel(this.stop, head.stopping ? "Stopping" : "Stop");
    show(this.rerunFailed, !running && head.again > 0 && !head.readonly);
    this.rerunFailed.disabled = dead;
    relabel(this.rerunFailed, `Rerun ${whole(head.again)} ${kind}`);
    show(this.download, head.failed > 0);
    this.download.disabled = dead;
    show(this.rerunShown, this.isNarrowed && !running && !head.readonly && total > 0);
    this.rerunShown.disabled = dead;
    relabel(this.rerunShown, total === 1 ? "Rerun this one" : `Rerun these ${whole(total)}`);
  }

  /** @param {RunTick} head */
  drawFigures(head) {
    const { rate: pace, left, cost, tokens, saved } = this.figures;
    text(pace.number, rate(head.rate));
    text(left.number, head.left == null ? "–" : duration(head.left) || "0 s");
    show(left.node, head.state === "RUNNING");
    for (const [figure, value] of /** @type {const} */ ([
      [cost, head.cost],
      [tokens, head.tokens],
      [saved, head.saved],
    ])) {
      show(figure.node, Boolean(value));
      text(figure.number, value || "");
    }
  }

  /** How the rate went, as a line. @param {RunTick} head */
  drawSpark(head) {
    const { rates } = this;
    const hasLine = rates.length > 4;
    show(this.spark, head.state === "RUNNING" && hasLine);
    if (!hasLine) return;
    const top = Math.max(...rates) || 1;
    const points = rates.map((value, at) => {
      const x = (60 * at) / (rates.length - 1);
      const y = 18 - (16 * value) / top;
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    });
    attr(this.line, "points", points.join(" "));
  }

  /** @param {RunTick} head */
  drawCount(head) {
    const { total } = this.grid.page;
    const hasFlows = head.flows.length > 1;
    const rows = several(head.rows, hasFlows ? "row" : "record");
    const soFar = head.unread && this.needsContents ? " so far" : "";
    if (!this.isPlain && total !== head.rows)
      text(this.count, `${whole(total)} of ${rows}${soFar}`);
    else if (hasFlows) {
      text(this.count, `${several(head.records, "record")} in ${head.flows.length} flows`);
    } else text(this.count, rows);
  }

  /** Has no record that is listed anything to say? */
  get isTextless() {
    const { rows } = this.grid.page;
    return rows.length > 0 && rows.every((row) => row[9] === "");
  }

  /** Is what is asked for only known once every record and answer is read? */
  get needsContents() {
    return this.query.text !== "" || this.query.answer !== null;
  }

  /** @param {RunTick} head */
  drawTiles({ counts, records }) {
    const { states } = this;
    const queued = records - states.sum(counts, ...BAR);
    const numbers = { ...counts, [states.code("QUEUED")]: queued };
    for (const name of TILES) {
      const code = states.code(name);
      this.tiles.draw(code, states.looks[code], numbers[code] ?? 0, {
        pressed: this.query.states.includes(code),
        always: ALWAYS.includes(name),
      });
    }
    const label = states.told(numbers, [...BAR, "QUEUED"], whole) || "nothing yet";
    this.bar.draw(states.parts(counts, BAR), records, label);
  }

  /** @param {RunTick} head */
  drawCauses({ causes, kinds }) {
    const pill = (/** @type {Cause} */ one) => this.causePill(one, causes);
    this.causes.drawFew(this.query.cause, causes, kinds, pill);
  }

  /** @param {Cause} cause @param {Cause[]} causes */
  causePill(cause, causes) {
    const [number, error, message, records, , flows, steps] = cause;
    const isPressed = this.query.cause === number;
    return {
      key: number,
      isPressed,
      title: `${error} at ${steps.join(", ")} in ${flows.join(", ")}: ${message}`,
      act: () => this.filter({ cause: isPressed ? null : number }),
      content: [
        h("b", {}, whole(records)),
        ` ${error}`,
        h("span", { class: "nbf-faint" }, tellApart(cause, causes)),
      ],
    };
  }

  /** @param {RunTick} head */
  drawAnswers({ answers, labels, flows }) {
    const { answer, flow } = this.query;
    const named = flows.length > 1;
    const pill = (/** @type {Label} */ one) => this.answerPill(one, named ? flows[one[1]][0] : "");
    this.answers.drawFew([answer, flow], answers, labels, pill);
    show(this.answers.node, answers.length > 0);
  }

  /** @param {Label} label @param {string} name its flow's name, if there are several */
  answerPill([number, flow, label], name) {
    const { query } = this;
    const isPressed = query.answer === label && (!name || query.flow === flow);
    const chosen = isPressed ? { answer: null } : { answer: label };
    return {
      key: `${flow} ${label}`,
      isPressed,
      css: "nbf-plain",
      title: `${several(number, "record")} with the answer ${label}`,
      act: () => this.filter(name ? { ...chosen, flow: isPressed ? null : flow } : chosen),
      content: [
        h("b", {}, whole(number)),
        ` ${label}`,
        name ? h("span", { class: "nbf-faint" }, ` by ${name}`) : null,
      ],
    };
  }

  /** @override @param {boolean} on */
  enable(on) {
    super.enable(on);
    this.causes.forget(); // one of its buttons is off by itself
    this.answers.forget();
  }

  // The rows.

  /** @override @param {HTMLElement[]} cells @param {Row} row */
  fillRow(cells, [, key, flow, state, track, attempts, , cost, message, words, label, rest]) {
    const [stateCell, keyCell, textCell, flowCell, answerCell, trackCell, tryCell, , costCell] =
      cells;
    const look = this.states.looks[state];
    stateCell.replaceChildren(chip(look, look.brief));
    fillKey(keyCell, key);
    text(flowCell, this.latest?.flows[flow]?.[0] ?? "");
    trackCell.replaceChildren(trackBar(this.states, state, track));
    text(tryCell, attempts ? String(attempts) : "");
    text(costCell, cost);
    text(textCell, words ?? "");
    textCell.title = words ?? "";
    fillAnswer(answerCell, message, label, rest);
    return look.css;
  }

  /** @override @param {HTMLElement[]} cells @param {Row} row */
  refreshRow(cells, [, , , state, , , seconds]) {
    text(cells[7], duration(this.timeOf(this.states.looks[state].name, seconds)));
  }

  /**
   * @param {string} state
   * @param {number} seconds of a row under way when it began, else how long it took
   */
  timeOf(state, seconds) {
    if (state === "QUEUED") return 0;
    const isUnderWay = ["RUNNING", "RETRYING", "WAITING"].includes(state);
    return isUnderWay ? this.now - (this.latest?.began ?? 0) - seconds : seconds;
  }

  /** @override @param {Row} row */
  isOpen([number]) {
    return number === this.opened;
  }

  /** @override @param {Row} row */
  openRow([number]) {
    this.opened = number;
    this.root.classList.add("nbf-opened");
    this.panel.load();
    this.request("open", { row: number });
    this.paint();
  }

  /** @override */
  close() {
    this.opened = null;
    this.root.classList.remove("nbf-opened");
    this.panel.hide();
    this.grid.focus();
    this.paint();
  }

  /** @param {Detail} detail */
  drawRecord(detail) {
    const { latest } = this;
    const canRerun = latest !== null && !latest.readonly && latest.state !== "RUNNING";
    this.panel.draw(detail, { canRerun, hasCosts: Boolean(latest?.costs) });
  }
}

/**
 * A key, cut in its middle where there is no room: keys often differ at their ends.
 *
 * @param {HTMLElement} cell
 * @param {string} key
 */
function fillKey(cell, key) {
  const end = key.length > 2 * KEY_END ? key.length - KEY_END : key.length;
  cell.replaceChildren(
    h("span", { class: "nbf-keyhead" }, key.slice(0, end)),
    h("span", {}, key.slice(end)),
  );
  cell.title = key;
}

/**
 * What the flow returned, or what went wrong.
 *
 * @param {HTMLElement} cell
 * @param {string} message
 * @param {string} label
 * @param {string} rest
 */
function fillAnswer(cell, message, label, rest) {
  const parts = message
    ? [h("span", { class: "nbf-message" }, message)]
    : [
        h("span", { class: "nbf-label" }, label),
        rest ? h("span", { class: "nbf-faint" }, ` ${rest}`) : "",
      ];
  cell.replaceChildren(...parts);
  cell.title = message || [label, rest].filter(Boolean).join(", ");
}

/**
 * Does its lane say more than the bar of the run? Not that of a map, nor of a flow without steps.
 *
 * @param {FlowLane} lane
 */
function hasSteps([name, , , steps, why]) {
  return Boolean(why) || steps.length > 1 || (steps.length === 1 && steps[0][0] !== name);
}

/** What stands in a table without rows. @param {RunTick} head */
function emptyWords(head) {
  if (head.rows) return "No record fits the filter.";
  return head.state === "RUNNING" ? "No records yet." : "No records.";
}

/**
 * Where a cause is; and its message, where another one has the same error.
 *
 * @param {Cause} cause
 * @param {Cause[]} causes
 */
export function tellApart([, error, message, , alike, , steps], causes) {
  const place = steps.length > 1 ? ` at ${steps.length} steps` : ` at ${steps[0]}`;
  const others = causes.filter((other) => other[1] === error);
  // NonRetriableError says nothing, its message does.
  if (others.length < 2 && error !== "NonRetriableError") return place;
  const like = alike ? ` and ${whole(alike)} like it` : "";
  return `${place}: ${message}${like}`;
}
