import assert from "node:assert/strict";
import { test } from "node:test";
import { tellApart } from "../../nbflow/notebook/page/run.js";

/** @import { Cause } from "../../nbflow/notebook/page/types.js" */

/**
 * @param {string} error
 * @param {string[]} steps
 * @param {string} message
 * @param {number} [alike]
 * @returns {Cause}
 */
const cause = (error, steps, message, alike = 0) => [0, error, message, 1, alike, ["f"], steps];

test("a cause says where it is, and its message only where another one has the same error", () => {
  const causes = [
    cause("KeyError", ["fetch"], "id"),
    cause("OSError", ["save"], "disk full"),
    cause("OSError", ["save", "fetch", "ask"], "no file 'a'", 4),
  ];
  assert.deepEqual(
    causes.map((one) => tellApart(one, causes)),
    [" at fetch", " at save: disk full", " at 3 steps: no file 'a' and 4 like it"],
  );
});

test("an error that an author raised on purpose is told by its message", () => {
  const refused = cause("NonRetriableError", ["save"], "the thread has no text");
  assert.equal(tellApart(refused, [refused]), " at save: the thread has no text");
});
