// A list of rows: as many elements as are seen, whatever their number.

import { attr, h, show, text } from "./dom.js";
import {
  drawnRows,
  heightOf,
  movedBy,
  needsRows,
  placeOf,
  ROW,
  seenRows,
  topFor,
  wantedRows,
} from "./scroll.js";

/** @import { Column, GridOptions, Page, RowOwner, Scroll } from "./types.js" */

/**
 * The element of a row, and what it shows now.
 *
 * @template Row
 * @typedef {object} Line
 * @property {HTMLElement} node
 * @property {HTMLElement[]} cells
 * @property {Row | null} row
 * @property {number} index
 * @property {string} known
 */

/** @template Row */
export class Grid {
  /** @param {RowOwner<Row>} owner @param {GridOptions} options */
  constructor(owner, { id, css = "", label, columns, most, keys = [] }) {
    this.owner = owner;
    this.id = id;
    this.columns = columns;
    this.most = most;
    this.keys = keys;
    /** @type {Page<Row>} */
    this.page = { n: 0, total: 0, offset: 0, rows: [] };
    this.active = 0; // the row that the keyboard is at
    this.isPointed = false;
    this.wasHeld = false;
    /** @type {Line<Row>[]} */
    this.lines = [];
    this.heads = columns.map((column) => this.makeHead(column));
    this.body = h("div", { role: "rowgroup", class: "nbf-rows" });
    this.spacer = h("div", { class: "nbf-spacer", role: "presentation" }, this.body);
    const headrow = { role: "row", class: "nbf-row nbf-headrow", "aria-rowindex": "1" };
    this.scroller = h(
      "div",
      { role: "grid", class: `nbf-grid ${css}`, "aria-label": label, tabindex: "0" },
      h("div", { role: "rowgroup", class: "nbf-thead" }, h("div", headrow, ...this.heads)),
      this.spacer,
    );
    this.empty = h("div", { class: "nbf-empty", hidden: true });
    this.node = h("div", { class: "nbf-list" }, this.scroller, this.empty);
  }

  /** @param {Column} column */
  makeHead([sort, title]) {
    const act = () => this.owner.sort(sort ?? "");
    const content = sort
      ? h("button", { type: "button", class: "nbf-sort", onclick: act }, title)
      : h("span", {}, title);
    return h("div", { role: "columnheader", class: cellClass(title) }, content);
  }

  /** @param {AddEventListenerOptions} options */
  listen(options) {
    const { scroller } = this;
    scroller.addEventListener("scroll", () => this.scrolled(), { passive: true, ...options });
    scroller.addEventListener("keydown", (event) => this.press(event), options);
    scroller.addEventListener("pointerenter", () => this.point(true), options);
    scroller.addEventListener("pointerleave", () => this.point(false), options);
  }

  /** Rows do not move under the pointer, nor under a reader who has scrolled. */
  get isHeld() {
    return (this.isPointed || this.scroller.scrollTop > 0) && this.page.total > 0;
  }

  /** @param {boolean} isPointed */
  point(isPointed) {
    this.isPointed = isPointed;
    this.owner.ask();
  }

  toTop() {
    this.scroller.scrollTop = 0;
    this.active = 0;
  }

  focus() {
    this.scroller.focus({ preventScroll: true });
  }

  /** @returns {Scroll} */
  get scroll() {
    const { scrollTop, clientHeight } = this.scroller;
    return { top: scrollTop, height: clientHeight, total: this.page.total, most: this.most };
  }

  /** What to ask the kernel for. */
  get wanted() {
    return wantedRows(seenRows(this.scroll));
  }

  scrolled() {
    const isHeld = this.isHeld;
    if (needsRows(seenRows(this.scroll), this.page) || this.wasHeld !== isHeld) this.owner.ask();
    this.wasHeld = isHeld;
    this.owner.paint();
  }

  /**
   * @param {{ sort?: string, descending?: boolean }} query how the rows are sorted
   * @param {string} words what stands there without a row
   * @param {boolean} isTall has its full height, whatever the number of rows
   */
  draw(query, words, isTall = false) {
    const { total } = this.page;
    const rows = isTall ? this.most : Math.min(total, this.most);
    setHeight(this.spacer, heightOf(total));
    setHeight(this.scroller, (rows + 1) * ROW);
    show(this.empty, total === 0);
    text(this.empty, words);
    attr(this.scroller, "aria-rowcount", total + 1);
    this.drawHeads(query);
    this.drawLines();
  }

  /** @param {{ sort?: string, descending?: boolean }} query */
  drawHeads({ sort, descending }) {
    const order = descending ? "descending" : "ascending";
    for (const [at, [column]] of this.columns.entries()) {
      if (column) attr(this.heads[at], "aria-sort", column === sort ? order : "none");
    }
  }

  drawLines() {
    const { page, scroll } = this;
    const seen = seenRows(scroll);
    const { from, count } = drawnRows(seen, page);
    while (this.lines.length < count) this.lines.push(this.makeLine());
    for (const [at, line] of this.lines.entries()) {
      show(line.node, at < count);
      if (at >= count) continue;
      const index = from + at;
      const move = `translateY(${placeOf(scroll, seen, index)}px)`;
      if (line.node.style.transform !== move) line.node.style.transform = move;
      this.drawLine(line, index, page.rows[index - page.offset]);
    }
  }

  makeLine() {
    const cells = this.columns.map(([, title]) =>
      h("div", { role: "gridcell", class: cellClass(title) }),
    );
    const act = () => {
      this.active = line.index;
      this.enter(line.row);
    };
    const node = h("div", { role: "row", class: "nbf-row nbf-record", onclick: act }, ...cells);
    /** @type {Line<Row>} */
    const line = { node, cells, row: null, index: -1, known: "" };
    this.body.append(node);
    return line;
  }

  /** @param {Line<Row>} line @param {number} index @param {Row} row */
  drawLine(line, index, row) {
    line.row = row;
    line.index = index;
    attr(line.node, "aria-rowindex", index + 2);
    attr(line.node, "aria-selected", this.owner.isOpen(row));
    line.node.id = this.idOf(index);
    const known = JSON.stringify(row);
    if (line.known !== known) {
      line.known = known;
      line.node.className = `nbf-row nbf-record ${this.owner.fillRow(line.cells, row)}`;
    }
    line.node.classList.toggle("nbf-active", index === this.active);
    this.owner.refreshRow(line.cells, row);
  }

  /** @param {number} index */
  idOf(index) {
    return `nbf-${this.id}-${index}`;
  }

  /** @param {Row | null | undefined} row */
  enter(row) {
    if (row && !this.owner.isDead) this.owner.openRow(row);
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (/** @type {Element} */ (event.target).closest(".nbf-headrow")) return;
    const row = this.page.rows[this.active - this.page.offset];
    const moved = movedBy(event.key, this.active, this.scroll);
    if (moved !== null) this.moveTo(moved);
    else if (event.key === "Enter" || event.key === " ") this.enter(row);
    else if (!this.keys.includes(event.key)) return;
    else if (row && !this.owner.isDead) this.owner.pressRow(event.key, row);
    attr(this.scroller, "aria-activedescendant", this.idOf(this.active));
    event.preventDefault();
  }

  /** @param {number} index */
  moveTo(index) {
    this.active = index;
    const { scroll } = this;
    const top = topFor(scroll, index);
    if (top !== scroll.top) this.scroller.scrollTop = top;
    this.owner.paint();
  }
}

/** @param {string} title */
function cellClass(title) {
  return `nbf-cell nbf-c-${title.toLowerCase()}`;
}

/** @param {HTMLElement} node @param {number} pixels */
function setHeight(node, pixels) {
  const height = `${pixels}px`;
  if (node.style.height !== height) node.style.height = height;
}
