import assert from "node:assert/strict";
import { test } from "node:test";
import { actionOf, fitting, spoken } from "../../nbflow/quality/review.js";

/** @import { Case, Shown } from "../../nbflow/notebook/page/types.js" */

const PAGE = { isFinding: false, isOnButton: false, isRepeated: false };
const SEARCH = { ...PAGE, isFinding: true };

test("keys accept, choose, move, search and take back", () => {
  assert.deepEqual(actionOf("Enter", PAGE), { accept: true });
  assert.deepEqual(actionOf("ArrowRight", PAGE), { go: 1 });
  assert.deepEqual(actionOf("ArrowLeft", PAGE), { go: -1 });
  assert.deepEqual(actionOf("u", PAGE), actionOf("U", PAGE));
  assert.deepEqual(actionOf("/", PAGE), { find: true });
  assert.deepEqual(actionOf("1", PAGE), { choose: 0 });
  assert.deepEqual(actionOf("0", PAGE), { choose: 9 }, "0 is the tenth");
  assert.equal(actionOf("d", PAGE), null);
  assert.equal(actionOf("F1", PAGE), null);
});

test("Enter on a button is that button", () => {
  assert.equal(actionOf("Enter", { ...PAGE, isOnButton: true }), null);
});

test("while one searches, keys are text, but for Enter and Escape", () => {
  for (const key of ["1", "u", "/", "ArrowLeft"]) assert.equal(actionOf(key, SEARCH), null, key);
  assert.deepEqual(actionOf("Enter", SEARCH), { first: true });
  assert.equal(actionOf("Enter", { ...SEARCH, isRepeated: true }), null, "it is held");
  assert.deepEqual(actionOf("Escape", SEARCH), { leave: true });
});

test("labels are found by their names and by what is said of them", () => {
  /** @type {Shown["choices"]} */
  const choices = [
    ["card_arrival", "asks when a card comes"],
    ["fee", "Charged at a machine"],
    ["other", ""],
  ];
  assert.deepEqual(fitting(choices, " CARD "), ["card_arrival"]);
  assert.deepEqual(fitting(choices, "charged"), ["fee"]);
  assert.deepEqual(fitting(choices, ""), ["card_arrival", "fee", "other"]);
});

/** @type {Case} */
const CASE = {
  key: "q-1",
  fields: [
    ["text", "Where is it?"],
    ["note", "x".repeat(400)],
  ],
  label: "card",
  confidence: 0.3,
  reason: null,
  missing: "",
  decision: null,
};
/** @type {Shown} */
const SHOWN = {
  t: "show",
  view: "v",
  n: 1,
  said: "",
  column: "label",
  about: "",
  choices: [],
  by: "ana",
  at: 1,
  total: 4,
  done: 0,
  case: CASE,
};

test("who hears the page hears the record, the answer and the decision", () => {
  const said = spoken(SHOWN, CASE);
  assert.match(said, /^Record 2 of 4, q-1\. Where is it\?\. x+\. The model says card, 30% sure\.$/);
  assert.ok(said.length < 380, "a long record is cut");
  const decided = spoken(SHOWN, { ...CASE, label: null, decision: ["other", "ana", 1] });
  assert.match(decided, /The model gave no answer\. Decided: other\.$/);
});
