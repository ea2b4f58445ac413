// The flows of a run and their steps: how many records are through each, and where they stopped.

import { Bar } from "./bar.js";
import { attr, h, show, text } from "./dom.js";
import { whole } from "./numbers.js";

/** @import { Counts, FlowLane, RunQuery, RunTick, StepLane } from "./types.js" */
/** @import { States } from "./states.js" */

/**
 * The elements of a step.
 *
 * @typedef {object} StepPart
 * @property {HTMLElement} node
 * @property {Bar} bar
 * @property {HTMLElement} number
 * @property {HTMLElement} cost
 * @property {HTMLElement} waiting
 * @property {HTMLButtonElement} stopped
 */

/**
 * The elements of a flow.
 *
 * @typedef {object} Lane
 * @property {HTMLElement} node
 * @property {HTMLButtonElement} title
 * @property {HTMLElement} track
 * @property {HTMLElement} sum
 * @property {HTMLElement} trouble
 * @property {HTMLElement} why
 * @property {Map<string, StepPart>} steps
 */

/** @typedef {Pick<RunQuery, "flow" | "step">} Place what a lane filters by */

const DONE = ["COMPLETED", "SAME", "CACHED"];
/** What stands beside the records that are done. */
const BESIDE = ["FAILED", "TIMED_OUT", "CANCELLED", "INTERRUPTED"];

export class Lanes {
  /** @type {Lane[]} */
  lanes = [];
  isMoving = false;
  more = h("div", { class: "nbf-more nbf-faint", hidden: true });
  node = h("div", {
    class: "nbf-lanes",
    role: "group",
    "aria-label": "Flows and their steps",
    tabindex: "-1",
    onscroll: () => this.drawMore(),
  });

  /**
   * @param {States} states
   * @param {Readonly<Place>} query what is asked for now
   * @param {(place: Place) => void} filter
   */
  constructor(states, query, filter) {
    this.states = states;
    this.query = query;
    this.filter = filter;
  }

  /** @param {RunTick} head */
  draw({ flows, rows, state }) {
    const total = flows.length ? rows / flows.length : 0;
    this.isMoving = state === "RUNNING";
    for (const [flow, told] of flows.entries()) {
      this.lanes[flow] ??= this.add(flow, told[0]);
      this.drawLane(this.lanes[flow], flow, told, total);
    }
    this.drawMore();
  }

  /** Say how many lanes are below those that fit. */
  drawMore() {
    const { clientHeight, scrollHeight, scrollTop } = this.node;
    const bottom = scrollTop + clientHeight;
    const isScrolled = scrollHeight > clientHeight + 1;
    const below = isScrolled
      ? this.lanes.filter(({ node }) => node.offsetTop - this.node.offsetTop + 12 > bottom).length
      : 0;
    text(this.more, below ? `${below} more below` : "");
    show(this.more, below > 0);
  }

  /** @param {number} flow @param {string} name */
  add(flow, name) {
    const toggle = () => this.filter({ flow: this.query.flow === flow ? null : flow, step: "" });
    /** @type {Lane} */
    const lane = {
      node: h("div", { class: "nbf-lane" }),
      title: h(
        "button",
        { type: "button", class: "nbf-lane-name", title: `Show ${name} only`, onclick: toggle },
        name,
      ),
      track: h("div", { class: "nbf-track" }),
      sum: h("div", { class: "nbf-sum" }),
      trouble: h("div", { class: "nbf-sum nbf-s-failed" }),
      why: h("div", { class: "nbf-why" }),
      steps: new Map(),
    };
    lane.node.append(lane.title, lane.track, lane.sum, lane.trouble, lane.why);
    this.node.append(lane.node);
    return lane;
  }

  /**
   * @param {Lane} lane
   * @param {number} flow
   * @param {FlowLane} told
   * @param {number} total records
   */
  drawLane(lane, flow, [, counts, wholes, steps, why], total) {
    attr(lane.title, "aria-pressed", this.query.flow === flow);
    text(lane.sum, `${whole(this.states.sum(counts, ...DONE))} / ${whole(total)}`);
    const beside = BESIDE.filter((name) => counts[this.states.code(name)]);
    const told = beside.map((name) => {
      const code = this.states.code(name);
      return `${whole(counts[code])} ${this.states.looks[code].word}`;
    });
    text(lane.trouble, told.join(", "));
    text(lane.why, why ? `Ran because ${why}` : "");
    show(lane.why, Boolean(why));
    // A flow whose steps nobody has met yet, or that calls none, is one bar.
    /** @type {StepLane[]} */
    const shown = steps.length ? steps : [["", counts, ""]];
    for (const [step, ends, cost] of shown) {
      const part = lane.steps.get(step) ?? this.addStep(lane, flow, step);
      this.drawStep(part, step, this.tally(ends, step ? wholes : 0), total);
      text(part.cost, cost || "");
      attr(part.stopped, "aria-pressed", this.isAt(flow, step));
    }
    for (const [step, part] of lane.steps) {
      show(
        part.node,
        shown.some(([known]) => known === step),
      );
    }
  }

  /** @param {Lane} lane @param {number} flow @param {string} step */
  addStep(lane, flow, step) {
    const toggle = () =>
      this.filter(this.isAt(flow, step) ? { step: "", flow: null } : { step, flow });
    /** @type {StepPart} */
    const part = {
      node: h("div", { class: "nbf-step" }),
      bar: new Bar("nbf-stepbar"),
      number: h("span"),
      cost: h("span"),
      waiting: h("span"),
      stopped: h("button", {
        type: "button",
        class: "nbf-stopped nbf-s-failed",
        onclick: toggle,
      }),
    };
    const name = h("span", { class: "nbf-stepname", title: step }, step);
    const label = h(
      "div",
      { class: "nbf-steplabel" },
      name,
      part.number,
      part.waiting,
      part.stopped,
      part.cost,
    );
    part.node.append(part.bar.node, label);
    lane.track.append(part.node);
    lane.steps.set(step, part);
    return part;
  }

  /** Are those shown that stopped here? @param {number} flow @param {string} step */
  isAt(flow, step) {
    return this.query.step === step && this.query.flow === flow;
  }

  /**
   * How the calls of a step stand.
   *
   * @param {Counts} counts
   * @param {number} wholes records whose flow was remembered as a whole
   */
  tally(counts, wholes) {
    const sum = (/** @type {string[]} */ ...names) => this.states.sum(counts, ...names);
    return {
      completed: sum("COMPLETED"),
      same: sum("SAME"),
      cached: sum("CACHED") + wholes,
      running: sum("RUNNING"),
      retrying: sum("RETRYING"),
      resting: sum("WAITING"),
      broken: sum("FAILED", "TIMED_OUT"),
      ended: sum("CANCELLED", "INTERRUPTED"),
    };
  }

  /**
   * @param {StepPart} part
   * @param {string} step
   * @param {ReturnType<Lanes["tally"]>} tally
   * @param {number} total
   */
  drawStep(part, step, tally, total) {
    const { completed, same, cached, running, retrying, resting, broken, ended } = tally;
    const css = (/** @type {string} */ name) => this.states.named(name).css;
    const done = completed + same + cached;
    // What waits for its next attempt in a run that is over has stopped.
    const waiting = this.isMoving ? retrying : 0;
    const stopped = broken + ended + retrying - waiting;
    part.bar.draw(
      [
        [css("COMPLETED"), completed],
        [css("SAME"), same],
        [css("CACHED"), cached],
        [css("RETRYING"), retrying + running],
        [css("WAITING"), resting],
        [css("FAILED"), broken],
        [css("CANCELLED"), ended],
      ],
      total,
      `${step || "flow"}: ${whole(done)} of ${whole(total)} done, ${whole(stopped)} stopped here`,
    );
    text(part.number, step ? whole(done) : "");
    show(part.waiting, Boolean(step) && waiting + resting > 0);
    const again = waiting ? [`${whole(waiting)} trying again`] : [];
    text(part.waiting, [...again, ...(resting ? [`${whole(resting)} waiting`] : [])].join(", "));
    show(part.stopped, Boolean(step) && stopped > 0);
    text(part.stopped, `${whole(stopped)} stopped`);
    attr(part.stopped, "aria-label", `Show the ${whole(stopped)} records that stopped at ${step}`);
  }
}
