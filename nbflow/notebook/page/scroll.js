// Which rows of a list are seen, in numbers only. A list may have millions of rows and has elements for those that are
// seen; browsers cut an element that is taller than some 16 million pixels, so a longer list is scrolled in proportion.

/** @import { Page, Scroll, Seen } from "./types.js" */

/** Pixels of a row, as in table.css. */
export const ROW = 30;
/** Rows that are asked for on either side of those that are seen. */
const MARGIN = 12;
/** Pixels that a list is tall at most. */
export const TALLEST = 6e6;

/** The height in which rows are seen: what the head of the list leaves. @param {number} height */
const roomIn = (height) => Math.max(ROW, height - ROW);

/** Is the list too long for each row to have its place? @param {number} total */
const isScaled = (total) => total * ROW > TALLEST;

/** @param {number} total */
export const heightOf = (total) => Math.min(total * ROW, TALLEST);

/** @param {Scroll} scroll @returns {Seen} */
export function seenRows({ top, height, total, most }) {
  const room = roomIn(height);
  const visible = height ? Math.ceil(room / ROW) : most;
  let exact = top / ROW;
  if (isScaled(total)) exact = (top / Math.max(1, TALLEST - room)) * (total - room / ROW);
  return { visible, exact, first: Math.floor(exact) };
}

/** The rows to ask the kernel for. @param {Seen} seen */
export function wantedRows({ first, visible }) {
  return { offset: Math.max(0, first - MARGIN), limit: visible + 2 * MARGIN };
}

/**
 * Do the rows that are seen come close to the end of those that are known?
 *
 * @param {Seen} seen
 * @param {Page<unknown>} page
 */
export function needsRows({ first, visible }, { offset, rows, total }) {
  const end = offset + rows.length;
  const isShortAbove = first < offset + MARGIN / 2 && offset > 0;
  const isShortBelow = first + visible > end - MARGIN / 2 && end < total;
  return isShortAbove || isShortBelow;
}

/** The rows to draw, of those that are known. @param {Seen} seen @param {Page<unknown>} page */
export function drawnRows({ first, visible }, { offset, rows }) {
  const from = Math.max(first - 2, offset);
  const to = Math.min(first + visible + 3, offset + rows.length);
  return { from, count: Math.max(0, to - from) };
}

/**
 * Pixels from the top of the list to a row.
 *
 * @param {Scroll} scroll
 * @param {Seen} seen
 * @param {number} index
 */
export function placeOf({ top, total }, { exact }, index) {
  const base = isScaled(total) ? top - exact * ROW : 0;
  return base + index * ROW;
}

/** Where to scroll to, so that a row is seen. @param {Scroll} scroll @param {number} index */
export function topFor(scroll, index) {
  const { top, height, total } = scroll;
  const room = roomIn(height);
  if (isScaled(total)) {
    const { first, visible } = seenRows(scroll);
    if (index >= first + 1 && index <= first + visible - 2) return top;
    return ((index - visible / 2) / (total - room / ROW)) * (TALLEST - room);
  }
  if (index * ROW < top) return index * ROW;
  if ((index + 1) * ROW > top + room) return (index + 1) * ROW - room;
  return top;
}

/**
 * The row that a key moves to from `index`; null for a key that does not move.
 *
 * @param {string} key
 * @param {number} index
 * @param {Scroll} scroll
 */
export function movedBy(key, index, { height, total }) {
  const page = Math.max(1, Math.floor(roomIn(height) / ROW) - 1);
  const steps = new Map([
    ["ArrowDown", 1],
    ["ArrowUp", -1],
    ["PageDown", page],
    ["PageUp", -page],
    ["Home", -total],
    ["End", total],
  ]);
  const step = steps.get(key);
  if (step === undefined) return null;
  return Math.max(0, Math.min(total - 1, index + step));
}
