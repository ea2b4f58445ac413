// Two runs compared: which records came out differently, and in what.

import { closer, code, h, show, text } from "./dom.js";
import { Grid } from "./grid.js";
import { several, whole } from "./numbers.js";
import { Pills } from "./pills.js";

/** @import { Change, Column, Compared, ComparisonHost, RowOwner } from "./types.js" */

/** @typedef {[flow: string, field: string]} Kind */

/** @type {Column[]} */
const CHANGE_COLUMNS = [
  [null, "Record"],
  [null, "Flow"],
  [null, "Field"],
  [null, "Before"],
  [null, "After"],
];
const CHANGES = 10; // rows at most

/** @implements {RowOwner<Change>} */
export class Comparison {
  /** The runs that are compared. @type {string[] | null} */
  pair = null;
  /** The kind of differences that are shown. @type {Kind | null} */
  kind = null;
  /** The number of the difference that is open. @type {number | null} */
  opened = null;
  asked = "";
  kinds = new Pills("Fields that differ: filters");
  sentence = h("div", { class: "nbf-sentence" });
  title = h("span", { class: "nbf-detailtitle" });
  values = h("section", { class: "nbf-detail", "aria-label": "One difference", hidden: true });

  /** @param {ComparisonHost} host */
  constructor(host) {
    this.host = host;
    const id = `${host.id}-c`;
    const options = { id, css: "nbf-changes", label: "Differences", columns: CHANGE_COLUMNS };
    /** @type {Grid<Change>} */
    this.grid = new Grid(this, { ...options, most: CHANGES });
    const gap = h("span", { class: "nbf-gap" });
    const close = closer(() => host.close());
    this.node = h(
      "section",
      { class: "nbf-panel", "aria-label": "Two runs compared", hidden: true },
      h("div", { class: "nbf-panelhead" }, this.title, gap, close),
      this.sentence,
      h("div", { class: "nbf-toolbar" }, this.kinds.node),
      h("div", { class: "nbf-split" }, this.grid.node, this.values),
    );
  }

  /** @param {string[]} runs two of them, or one to be compared with the one before it */
  open(runs) {
    this.pair = runs;
    this.kind = null;
    this.asked = "";
    this.grid.page = { n: 0, total: 0, offset: 0, rows: [] };
    this.grid.toTop();
    this.title.replaceChildren(h("span", {}, "Comparing ..."));
    text(this.sentence, "");
    this.kinds.draw([], () => ({ pills: [] }));
    show(this.node, true);
    this.askFor(true);
  }

  close() {
    this.pair = null;
    this.openChange(null);
    show(this.node, false);
  }

  get isDead() {
    return this.host.isDead;
  }

  paint() {
    this.host.paint();
  }

  sort() {}

  ask() {
    this.askFor(false);
  }

  /** @param {boolean} anew */
  askFor(anew) {
    if (!this.pair) return;
    const asks = { only: this.kind, ...this.grid.wanted };
    const asked = JSON.stringify(asks);
    if (asked === this.asked) return;
    this.asked = asked;
    this.host.request("compare", { runs: this.pair, ...asks, anew });
  }

  /** @param {Compared} told */
  take(told) {
    const { total, offset, rows } = told;
    this.grid.page = { n: 0, total, offset, rows };
    const [before, after] = told.runs;
    this.title.replaceChildren(
      h("b", {}, "Compared"),
      h("span", { class: "nbf-mono" }, before),
      h("span", { class: "nbf-faint" }, "before,"),
      h("span", { class: "nbf-mono" }, after),
      h("span", { class: "nbf-faint" }, "after"),
    );
    text(this.sentence, sentenceOf(told));
    this.drawKinds(told);
    this.paint();
  }

  /** @param {Compared} told */
  drawKinds({ kinds }) {
    this.kinds.draw([kinds, this.kind], () => ({
      pills: kinds.map(([flow, field, number]) => this.kindPill(flow, field, number)),
    }));
  }

  /** @param {string} flow @param {string} field @param {number} number */
  kindPill(flow, field, number) {
    const isPressed = this.kind?.[0] === flow && this.kind[1] === field;
    const act = () => {
      this.kind = isPressed ? null : [flow, field];
      this.grid.toTop();
      this.openChange(null);
      this.ask();
    };
    return {
      key: JSON.stringify([flow, field]),
      isPressed,
      css: "nbf-plain",
      act,
      content: [
        h("b", {}, whole(number)),
        flow ? ` ${field}` : " in one run only",
        flow && flow !== field ? h("span", { class: "nbf-faint" }, ` of ${flow}`) : null,
      ],
    };
  }

  draw() {
    if (!this.pair) return;
    const isTall = this.opened !== null && this.host.isWide;
    this.grid.draw({}, "Nothing came out differently.", isTall);
  }

  // The rows.

  /** @param {HTMLElement[]} cells @param {Change} change */
  fillRow(cells, [, ...texts]) {
    for (const [at, value] of texts.entries()) {
      text(cells[at], value);
      cells[at].title = value;
    }
    return "";
  }

  refreshRow() {}

  pressRow() {}

  /** @param {Change} change */
  isOpen([number]) {
    return number === this.opened;
  }

  /** @param {Change} change */
  openRow(change) {
    this.openChange(change);
  }

  /** @param {Change | null} change */
  openChange(change) {
    this.opened = change ? change[0] : null;
    show(this.values, change !== null);
    this.node.classList.toggle("nbf-opened", change !== null);
    if (change) this.drawChange(change);
    this.paint();
  }

  /** @param {Change} change */
  drawChange([, record, flow, field, before, after]) {
    const place = flow && flow !== field ? `${field} of ${flow}` : field;
    const title = h(
      "div",
      { class: "nbf-detailtitle" },
      h("b", { class: "nbf-mono" }, record),
      h("span", { class: "nbf-faint" }, place),
    );
    const gap = h("span", { class: "nbf-gap" });
    const close = closer(() => this.openChange(null));
    this.values.replaceChildren(
      h("div", { class: "nbf-detailhead" }, title, gap, close),
      h("div", { class: "nbf-faint" }, "before"),
      code(before, "before"),
      h("div", { class: "nbf-faint" }, "after"),
      code(after, "after"),
    );
  }
}

/** @param {Compared} told */
function sentenceOf({ differences, changed, records, more }) {
  const all = several(records, "record");
  if (!differences) return `All ${all} came out the same.`;
  const places = `${more ? "more than " : ""}${several(differences, "place")}`;
  return `${whole(changed)} of ${all} came out differently, in ${places}.`;
}
