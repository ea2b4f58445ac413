import assert from "node:assert/strict";
import { test } from "node:test";
import { partOf } from "../../nbflow/notebook/page/history.js";
import { Talk } from "../../nbflow/notebook/page/talk.js";
import { LOOKS } from "./looks.js";

/** @import { FromKernel, Listener, Model, Tick } from "../../nbflow/notebook/page/types.js" */

/** A talk that begins at 0 ms, and what it sent. */
function begin() {
  /** @type {object[]} */
  const sent = [];
  return { sent, talk: new Talk("v", (message) => sent.push(message), 0) };
}

/**
 * @param {Record<string, number>} pages the number of the question that each view's rows answer
 * @returns {Tick}
 */
function tick(pages, now = 0) {
  const rows = Object.entries(pages).map(([id, n]) => [id, { n, total: 1, offset: 0, rows: [n] }]);
  return {
    t: "tick",
    n: 1,
    now,
    readonly: false,
    sentence: "",
    rows: 1,
    costs: false,
    kinds: 0,
    pages: Object.fromEntries(rows),
  };
}

test("questions for rows are numbered, and say which view asks", () => {
  const { sent, talk } = begin();
  talk.ask({ offset: 0 }, 5);
  talk.ask({ offset: 30 }, 6);
  assert.deepEqual(sent, [
    { id: "v", t: "view", n: 1, offset: 0 },
    { id: "v", t: "view", n: 2, offset: 30 },
  ]);
});

test("rows of an older question come after newer ones and change nothing", () => {
  const { talk } = begin();
  talk.ask({}, 0);
  talk.ask({}, 0);
  assert.equal(talk.takeRows(tick({ v: 2 }), false, 0)?.n, 2);
  assert.equal(talk.takeRows(tick({ v: 1 }), false, 0), null);
});

test("rows for whoever has asked for nothing do for a view that is as plain", () => {
  const { talk } = begin();
  assert.equal(talk.takeRows(tick({ "": 0, other: 7 }), false, 0), null);
  assert.equal(talk.takeRows(tick({ "": 0, other: 7 }), true, 0)?.n, 0);
  assert.equal(talk.isKnownIn(tick({ "": 0, other: 7 })), false);
});

test("a question that was lost is asked again, less and less often", () => {
  const { talk } = begin();
  talk.ask({}, 0);
  const again = [];
  for (let now = 0; now <= 60_000; now += 500) {
    talk.heard = now; // the kernel lives
    if (!talk.isLost(now)) continue;
    talk.ask({}, now);
    again.push(now);
  }
  assert.deepEqual(again, [2000, 5500, 12_000, 24_500, 49_000]);
  talk.takeRows(tick({ v: talk.asked }), false, 60_000);
  assert.equal(talk.isLost(90_000), false, "it was answered");
  assert.equal(talk.patience, 1500);
});

test("a dead kernel is not asked again, and nothing is said of what it did not hear", () => {
  const { talk } = begin();
  talk.ask({}, 0);
  talk.request("open", { row: 3 }, 0);
  assert.equal(talk.isDead(9000), false);
  assert.equal(talk.isDead(9001), true);
  assert.equal(talk.isLost(9001), false);
  assert.deepEqual(talk.unheard(9001), []);
  assert.equal(talk.pending.size, 0);
});

test("a request that waits is told once, and is still answered", () => {
  const { sent, talk } = begin();
  talk.request("act", { what: "stop" }, 0);
  assert.deepEqual(sent, [{ id: "v", t: "act", n: 1, what: "stop" }]);
  assert.deepEqual(talk.unheard(1499), []);
  assert.deepEqual(
    talk.unheard(1500).map((request) => request.what),
    ["stop"],
  );
  assert.deepEqual(talk.unheard(3000), []);
  assert.equal(talk.takeAnswer({ t: "said", text: "Stopping", to: 1 })?.kind, "act");
  assert.equal(talk.takeAnswer({ t: "said", text: "Stopping", to: 1 }), undefined);
});

test("where there is no kernel to send to it counts as dead at once", () => {
  const send = () => {
    throw new Error("disposed");
  };
  const talk = new Talk("v", send, 20_000);
  assert.equal(talk.isDead(20_000), false);
  talk.ask({}, 20_000);
  assert.equal(talk.isDead(20_000), true);
});

test("a tick is acknowledged once", () => {
  const { sent, talk } = begin();
  talk.ack(4);
  talk.ack(4);
  assert.deepEqual(sent, [{ id: "v", t: "ack", n: 4 }]);
});

test("times are told by the kernel's clock, whatever ours says", () => {
  const { talk } = begin();
  talk.takeRows(tick({}, 5000), false, 1_000_000);
  assert.equal(talk.kernelTime(1_003_000), 5003);
});

test("a run within a history hears and says only what is of it", () => {
  /** @type {object[]} */
  const sent = [];
  /** @type {Set<Listener>} */
  const listeners = new Set();
  /** @type {Model} */
  const model = {
    get: (name) => ({ name: "n", kind: /** @type {const} */ ("history"), looks: LOOKS })[name],
    send: (message) => sent.push(message),
    on: (_, act) => listeners.add(act),
    off: (_, act) => listeners.delete(act),
  };
  const hear = (/** @type {FromKernel} */ message) => {
    for (const act of listeners) act(message);
  };
  /** @type {FromKernel[]} */
  const heard = [];
  const listener = (/** @type {FromKernel} */ message) => heard.push(message);
  const part = partOf(model, "r-1");
  part.on("msg:custom", listener);
  hear({ t: "beat" });
  hear({ t: "beat", of: "r-2" });
  hear({ t: "beat", of: "r-1" });
  part.send({ t: "ack", n: 1 });
  part.off("msg:custom", listener);
  hear({ t: "beat", of: "r-1" });
  assert.deepEqual(heard, [{ t: "beat", of: "r-1" }]);
  assert.deepEqual(sent, [{ t: "ack", n: 1, of: "r-1" }]);
  assert.equal(part.get("looks"), LOOKS);
});
