import assert from "node:assert/strict";
import { test } from "node:test";
import { States } from "../../nbflow/notebook/page/states.js";
import { toggled } from "../../nbflow/notebook/page/tiles.js";
import { callsOf } from "../../nbflow/notebook/page/track.js";
import { LOOKS } from "./looks.js";

const states = new States(LOOKS);
const code = (/** @type {string} */ name) => states.code(name);

test("a state is known by its place in the kernel's list, and coloured by its name", () => {
  assert.equal(code("CACHED"), 5);
  assert.deepEqual(states.named("TIMED_OUT"), {
    name: "TIMED_OUT",
    word: "timed out",
    icon: "clock",
    brief: "timed out",
    css: "nbf-s-timed-out",
  });
  assert.equal(states.run("PARTIAL").css, "nbf-s-partial");
});

test("a state that the kernel does not know is a mistake, and is said", () => {
  assert.throws(() => code("LOST"), /knows no state LOST/);
  assert.throws(() => states.run("QUEUED"), /knows no state QUEUED/);
});

test("numbers are summed, told and drawn by state", () => {
  const counts = { 4: 40, 6: 3, 7: 1 };
  const names = ["COMPLETED", "CACHED", "FAILED", "TIMED_OUT"];
  assert.equal(states.sum(counts, "FAILED", "TIMED_OUT", "CACHED"), 4);
  assert.equal(states.told(counts, names, String), "40 completed, 3 failed, 1 timed out");
  assert.deepEqual(states.parts(counts, ["FAILED", "CACHED"]), [
    ["nbf-s-failed", 3],
    ["nbf-s-cached", 0],
  ]);
});

/** @param {string} state @param {string} track */
const called = (state, track) =>
  callsOf(states, code(state), track).map((look) => look?.word ?? "-");

test("a track says how each call of a row ended, and where the row is now", () => {
  assert.deepEqual(called("FAILED", "46-"), ["completed", "failed", "-"]);
  assert.deepEqual(called("RUNNING", "4--"), ["completed", "running", "-"]);
  assert.deepEqual(called("RETRYING", "42-"), ["completed", "retrying", "-"]);
});

test("a flow that was remembered as a whole is cached in all of its steps", () => {
  assert.deepEqual(called("CACHED", "---"), ["cached", "cached", "cached"]);
});

test("a flow without steps has one part, in the state of the row", () => {
  assert.deepEqual(called("COMPLETED", ""), ["completed"]);
  assert.deepEqual(called("FAILED", ""), ["failed"]);
  assert.deepEqual(called("RUNNING", ""), ["running"]);
  assert.deepEqual(called("QUEUED", ""), ["-"]);
});

test("a filter that is pressed again is taken back", () => {
  assert.deepEqual(toggled([1, 2], 3), [1, 2, 3]);
  assert.deepEqual(toggled([1, 2, 3], 2), [1, 3]);
});
