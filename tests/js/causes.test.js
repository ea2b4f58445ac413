import assert from "node:assert/strict";
import { test } from "node:test";
import { tellApart } from "../../nbflow/notebook/page/run.js";

/** @import { Cause } from "../../nbflow/notebook/page/types.js" */

/**
 * @param {string} error
 * @param {string} step
 * @param {string} flow
 * @param {string} message
 * @returns {Cause}
 */
const cause = (error, step, flow, message) => [0, step, error, message, 1, flow];

test("a cause says its step, and its flow and message only where another one is like it", () => {
  const causes = [
    cause("KeyError", "fetch", "triage", "id"),
    cause("KeyError", "save", "triage", "id"),
    cause("KeyError", "save", "audit", "id"),
    cause("OSError", "save", "audit", "disk full"),
    cause("OSError", "save", "audit", "no such file"),
  ];
  assert.deepEqual(
    causes.map((one) => tellApart(one, causes)),
    [
      " at fetch",
      " at save in triage",
      " at save in audit",
      " at save: disk full",
      " at save: no such file",
    ],
  );
});

test("an error that an author raised on purpose is told by its message", () => {
  const refused = cause("NonRetriableError", "save", "triage", "the thread has no text");
  assert.equal(tellApart(refused, [refused]), " at save: the thread has no text");
});
