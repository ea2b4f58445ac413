import assert from "node:assert/strict";
import { test } from "node:test";
import {
  drawnRows,
  heightOf,
  movedBy,
  needsRows,
  placeOf,
  ROW,
  seenRows,
  TALLEST,
  topFor,
  wantedRows,
} from "../../nbflow/notebook/page/scroll.js";

const HEIGHT = 11 * ROW; // a head and ten rows
const MILLION = 1_000_000;

const scrolled = (top = 0, total = 500, height = HEIGHT) => ({ top, height, total, most: 12 });
/** @param {number} offset @param {number} length @param {number} total */
const page = (offset, length, total) => ({ n: 1, offset, total, rows: Array(length).fill(0) });

test("the rows that are seen follow the scroll", () => {
  assert.deepEqual(seenRows(scrolled()), { first: 0, exact: 0, visible: 10 });
  assert.deepEqual(seenRows(scrolled(95)), { first: 3, exact: 95 / 30, visible: 10 });
});

test("before the page is laid out, as many rows are seen as there can be", () => {
  assert.equal(seenRows(scrolled(0, 500, 0)).visible, 12);
  assert.equal(seenRows(scrolled(0, 500, 20)).visible, 1);
});

test("a list is no taller than browsers allow, and its last row is reached", () => {
  assert.equal(heightOf(500), 500 * ROW);
  assert.equal(heightOf(MILLION), TALLEST);
  const end = scrolled(TALLEST - 10 * ROW, MILLION);
  assert.equal(seenRows(end).first, MILLION - 10);
  assert.equal(placeOf(end, seenRows(end), MILLION - 1), TALLEST - ROW);
});

test("a row of a short list stands at its place, wherever one has scrolled to", () => {
  assert.equal(placeOf(scrolled(95), seenRows(scrolled(95)), 7), 7 * ROW);
});

test("rows are asked for on either side of those that are seen, and none before the first", () => {
  assert.deepEqual(wantedRows(seenRows(scrolled())), { offset: 0, limit: 34 });
  assert.deepEqual(wantedRows(seenRows(scrolled(100 * ROW))), { offset: 88, limit: 34 });
});

test("more rows are asked for before those that are known come to an end", () => {
  const at = (/** @type {number} */ row) => seenRows(scrolled(row * ROW));
  assert.equal(needsRows(at(0), page(0, 34, 500)), false);
  assert.equal(needsRows(at(18), page(0, 34, 500)), false);
  assert.equal(needsRows(at(19), page(0, 34, 500)), true, "below");
  assert.equal(needsRows(at(93), page(88, 34, 500)), true, "above");
  assert.equal(needsRows(at(30), page(6, 34, 40)), false, "there are no more");
});

test("only rows that are known are drawn, those that are seen and a few beside", () => {
  assert.deepEqual(drawnRows(seenRows(scrolled(20 * ROW)), page(0, 60, 500)), {
    from: 18,
    count: 15,
  });
  assert.deepEqual(drawnRows(seenRows(scrolled()), page(0, 4, 4)), { from: 0, count: 4 });
  assert.deepEqual(drawnRows(seenRows(scrolled(300 * ROW)), page(0, 34, 500)), {
    from: 298,
    count: 0,
  });
});

test("keys move by a row, by a page, and to either end, and not beyond", () => {
  const move = (/** @type {string} */ key, /** @type {number} */ from) =>
    movedBy(key, from, scrolled());
  assert.equal(move("ArrowDown", 0), 1);
  assert.equal(move("ArrowUp", 0), 0);
  assert.equal(move("PageDown", 3), 12);
  assert.equal(move("PageUp", 3), 0);
  assert.equal(move("End", 3), 499);
  assert.equal(move("Home", 250), 0);
  assert.equal(move("ArrowDown", 499), 499);
  assert.equal(move("Tab", 3), null);
  assert.equal(movedBy("End", 0, scrolled(0, 0)), 0, "no rows");
});

test("a row that the keyboard comes to is scrolled to, by no more than it takes", () => {
  assert.equal(topFor(scrolled(0), 9), 0, "it is seen");
  assert.equal(topFor(scrolled(0), 10), ROW);
  assert.equal(topFor(scrolled(300), 4), 4 * ROW);
  const far = topFor(scrolled(0, MILLION), 500_000);
  const seen = seenRows(scrolled(far, MILLION));
  assert.ok(seen.first < 500_000 && 500_000 < seen.first + seen.visible);
});
