// The live table of all runs: one of them opened below the list, or two of them compared.

import { Bar } from "./bar.js";
import { Comparison } from "./comparison.js";
import { attr, button, closer, h, relabel, show, text } from "./dom.js";
import { LiveView } from "./live.js";
import { duration, moment, several, whole } from "./numbers.js";
import { Pills } from "./pills.js";
import { BAR, RunView } from "./run.js";
import { chip } from "./states.js";
import { Tiles, toggled } from "./tiles.js";

/**
 * @import { Answer, Column, FromKernel, HistoryQuery, HistoryTick, Listener } from "./types.js"
 * @import { Model, Pending, RunLine } from "./types.js"
 */

/** @type {HistoryQuery} */
const PLAIN_HISTORY = { text: "", event: null, states: [], sort: "started", descending: true };
/** @type {Column[]} */
const RUN_COLUMNS = [
  [null, "Pick"],
  ["state", "State"],
  ["event", "Event"],
  ["started", "Started"],
  ["seconds", "Took"],
  ["records", "Records"],
  [null, "Outcome"],
  ["failed", "Failed"],
  ["cost", "Cost"],
  ["run", "Run"],
];
const RUNS = 8; // rows at most
const SMALLEST_FIRST = ["state", "event"];

/**
 * The part of a model that belongs to one run.
 *
 * @param {Model} model
 * @param {string} run
 * @returns {Model}
 */
export function partOf(model, run) {
  /** @type {Map<Listener, Listener>} */
  const heard = new Map();
  return {
    get: (name) => model.get(name),
    send: (message) => model.send({ ...message, of: run }),
    on: (event, act) => {
      heard.set(act, (message) => {
        if ("of" in message && message.of === run) act(message);
      });
      model.on(event, heard.get(act) ?? act);
    },
    off: (event, act) => model.off(event, heard.get(act) ?? act),
  };
}

/** @extends {LiveView<HistoryQuery, HistoryTick, RunLine>} */
export class HistoryView extends LiveView {
  /** The runs to compare. @type {string[]} */
  picked = [];
  /** The run that is open, and its table. @type {string | null} */
  opened = null;
  /** @type {RunView | null} */
  child = null;

  events = new Pills("Events: filters");
  compares = button("nbf-quiet", "", () => this.compare(this.picked));
  store = h("span", { class: "nbf-faint nbf-about" });
  nest = h("div", { class: "nbf-nest" });
  panel = h("section", { class: "nbf-panel", "aria-label": "One run", hidden: true }, this.nest);

  /** @param {Model} model @param {HTMLElement} el */
  constructor(model, el) {
    const label = "Runs. Enter opens one, C picks it for a comparison";
    const grid = { css: "nbf-runs", label, columns: RUN_COLUMNS, most: RUNS, keys: ["c"] };
    super(model, el, { plain: PLAIN_HISTORY, search: "Search runs and events", grid });
    /** @type {Tiles<string>} */
    this.tiles = new Tiles("Runs by state: filters", (state) =>
      this.filter({ states: toggled(this.query.states, state) }),
    );
    this.comparison = new Comparison(this);
    this.header.append(h("span", { class: "nbf-title" }, "Runs"), this.store);
    const actions = h("div", { class: "nbf-actions" }, this.clear, this.compares);
    this.place(
      h("div", { class: "nbf-numbers" }, this.tiles.node),
      h("div", { class: "nbf-toolbar" }, this.search, this.events.node, actions),
      h("div", { class: "nbf-split" }, this.grid.node),
      this.panel,
      this.comparison.node,
    );
    this.start();
    this.comparison.grid.listen({ signal: this.abort.signal });
  }

  /** @override */
  remove() {
    this.child?.remove();
    super.remove();
  }

  /** @override @param {string} column */
  startsDescending(column) {
    return !SMALLEST_FIRST.includes(column);
  }

  /** @override */
  escape() {
    const { comparison } = this;
    if (comparison.opened !== null) comparison.openChange(null);
    else if (this.opened || comparison.pair) this.close();
  }

  /** @override @param {FromKernel} message */
  take(message) {
    const isOfRun = "of" in message && message.of != null;
    if (isOfRun)
      this.heard = Date.now(); // its own view hears it too
    else super.take(message);
  }

  /** @override @param {HistoryTick} head @param {HistoryTick | null} before */
  ticked(head, before) {
    if (!before && head.opens) this.open(head.opens);
  }

  /** @override @param {Answer} message @param {Pending | undefined} request */
  answer(message, request) {
    if (message.t === "compared") {
      if (request?.runs && request.runs === this.comparison.pair) this.comparison.take(message);
      return;
    }
    const isWrong = message.t === "said" && "wrong" in message && message.wrong;
    if (isWrong && request?.kind === "compare") this.close();
    super.answer(message, request);
  }

  // The list.

  /** @override @param {HistoryTick} head */
  draw(head) {
    const dead = this.isDead;
    const silent =
      "The kernel does not answer: this is how the runs stood. They are on disk: nf.runs() lists them.";
    text(this.store, head.store);
    this.warn(dead ? silent : "");
    this.root.classList.toggle("nbf-running", !dead && Boolean(head.counts.RUNNING));
    this.root.classList.toggle("nbf-costs", head.costs);
    for (const look of this.states.runs) {
      const pressed = this.query.states.includes(look.name);
      const number = head.counts[look.name] ?? 0;
      this.tiles.draw(look.name, look, number, { pressed, always: true });
    }
    this.drawEvents(head);
    const { total } = this.grid.page;
    const runs = several(head.rows, "run");
    text(this.count, total === head.rows ? runs : `${whole(total)} of ${runs}`);
    relabel(this.compares, comparesWords(this.picked.length));
    this.compares.disabled = dead || !this.picked.length;
    const words = head.rows ? "No run fits the filter." : "No runs yet. nf.send(...) makes one.";
    this.grid.draw(this.query, words);
    this.comparison.draw();
  }

  /** @param {HistoryTick} head */
  drawEvents({ events, kinds }) {
    show(this.events.node, kinds > 1);
    this.events.draw([events, kinds, this.query.event], () => {
      const more = kinds - events.length;
      const words = `and ${whole(more)} more`;
      return {
        pills: events.map(([short, event, number]) => this.eventPill(short, event, number)),
        rest: more > 0 ? h("span", { class: "nbf-faint" }, words) : null,
      };
    });
  }

  /** @param {string} short @param {string} event @param {number} number */
  eventPill(short, event, number) {
    const isPressed = this.query.event === event;
    return {
      key: event,
      isPressed,
      css: "nbf-plain",
      act: () => this.filter({ event: isPressed ? null : event }),
      content: [h("b", {}, whole(number)), ` ${short}`],
    };
  }

  /** @override @param {HTMLElement[]} cells @param {RunLine} line */
  fillRow(cells, [run, event, state, started, , records, rows, counts, failed, cost]) {
    const [pick, stateCell, eventCell, startCell, , recordsCell, outcome, failedCell] = cells;
    const look = this.states.run(state);
    if (!pick.firstChild) pick.append(this.makePick());
    const box = boxIn(pick);
    attr(box, "data-run", run);
    attr(box, "aria-label", `Pick run ${run} for a comparison`);
    stateCell.replaceChildren(chip(look));
    text(eventCell, event);
    eventCell.title = event;
    text(startCell, moment(started));
    startCell.title = new Date(started * 1000).toLocaleString();
    text(recordsCell, whole(records));
    const bar = new Bar("nbf-outcome");
    const label = this.states.told(counts, BAR, whole);
    const met = BAR.filter((name) => this.states.sum(counts, name));
    bar.draw(this.states.parts(counts, met), rows, label || "nothing yet");
    bar.node.title = label;
    outcome.replaceChildren(bar.node);
    text(failedCell, failed ? whole(failed) : "");
    text(cells[8], cost);
    text(cells[9], run);
    return look.css;
  }

  /** @override @param {HTMLElement[]} cells @param {RunLine} line */
  refreshRow(cells, [run, , state, started, ended, , , , , , idle]) {
    boxIn(cells[0]).checked = this.picked.includes(run);
    const end = state === "RUNNING" && !this.isDead ? this.now : ended;
    text(cells[4], duration(end - started - idle) || "0 s");
  }

  makePick() {
    return h("input", {
      type: "checkbox",
      class: "nbf-pick",
      tabindex: "-1",
      onclick: (event) => event.stopPropagation(),
      onchange: (event) => {
        const box = /** @type {HTMLInputElement} */ (event.target);
        this.pick(box.dataset.run ?? "");
      },
    });
  }

  /** Pick a run for a comparison, or leave it; of three the first one goes. @param {string} run */
  pick(run) {
    this.picked = toggled(this.picked, run).slice(-2);
    this.paint();
  }

  /** @override @param {string} _key @param {RunLine} line */
  pressRow(_key, [run]) {
    this.pick(run);
  }

  // One run, or two.

  /** @override @param {RunLine} line */
  isOpen([run]) {
    return run === this.opened;
  }

  /** @override @param {RunLine} line */
  openRow([run]) {
    if (this.opened === run) return;
    this.open(run);
    this.panel.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  /** @param {string} run */
  open(run) {
    this.leave();
    this.opened = run;
    show(this.panel, true);
    this.child = new RunView(partOf(this.model, run), this.nest);
    this.child.wantsRows = true;
    const compare = () => this.compare([run]);
    this.child.header.append(
      button("nbf-quiet", "Compare with the run before", compare),
      closer(() => this.close()),
    );
    this.paint();
  }

  /** @param {string[]} runs */
  compare(runs) {
    this.leave();
    this.comparison.open(runs);
    this.paint();
  }

  /** Close what is open. */
  leave() {
    this.child?.remove();
    this.child = null;
    this.opened = null;
    show(this.panel, false);
    this.comparison.close();
  }

  /** @override */
  close() {
    this.leave();
    this.grid.focus();
    this.paint();
  }
}

/** @param {HTMLElement} cell */
function boxIn(cell) {
  return /** @type {HTMLInputElement} */ (cell.firstChild);
}

/** @param {number} picked */
function comparesWords(picked) {
  if (picked === 2) return "Compare these two";
  return picked ? "Compare with the run before" : "Compare: pick two runs";
}
