import assert from "node:assert/strict";
import { test } from "node:test";
import { duration, moment, rate, several, whole } from "../../nbflow/notebook/page/numbers.js";

test("a duration is said in the unit that a person would choose", () => {
  const said = [
    0.0004, 0.0123, 0.9994, 0.9995, 1, 59.94, 99.94, 99.95, 119.6, 3599.4, 3599.5, 7265,
  ];
  assert.deepEqual(said.map(duration), [
    "<1 ms",
    "12 ms",
    "999 ms",
    "1.0 s",
    "1.0 s",
    "59.9 s",
    "99.9 s",
    "1 min 40 s",
    "2 min 00 s",
    "59 min 59 s",
    "1 h 00 min",
    "2 h 01 min",
  ]);
});

test("there is nothing to say of no time, or of a clock that is behind", () => {
  assert.deepEqual([0, -3, Number.NaN].map(duration), ["", "", ""]);
});

test("a rate has as many digits as it takes, and none while nothing is known", () => {
  const rates = [null, 0, 0.004, 0.5, 0.994, 0.995, 12.34, 99.94, 100, 1234.5];
  assert.deepEqual(rates.map(rate), [
    "–",
    "0",
    "0.00",
    "0.50",
    "0.99",
    "1.0",
    "12.3",
    "99.9",
    "100",
    "1,235",
  ]);
});

test("thousands are told apart, and one is no plural", () => {
  assert.equal(whole(1234567.4), "1,234,567");
  assert.deepEqual(
    [0, 1, 2000].map((number) => several(number, "record")),
    ["0 records", "1 record", "2,000 records"],
  );
});

test("a moment of today says so, and another one its date", () => {
  const now = new Date(2026, 10, 24, 18, 30);
  const at = (/** @type {Date} */ date) => moment(date.getTime() / 1000, now);
  assert.equal(at(new Date(2026, 10, 24, 9, 5)), "today 09:05");
  assert.equal(at(new Date(2026, 0, 3, 23, 59)), "2026-01-03 23:59");
});
