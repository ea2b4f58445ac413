// The live tables of the dashboard: what a notebook does for a widget, over a socket of the dashboard's own.

import { HistoryView } from "../notebook/page/history.js";

/** @import { Context } from "../notebook/page/types.js" */
/** @typedef {Parameters<Context["model"]["on"]>[1]} Heard */

const AGAIN = 2000; // milliseconds until a connection that was lost is made again

/** @type {Set<Heard>} */
const heard = new Set();
/** @type {Record<string, unknown>} */
const traits = { name: "dashboard", kind: "history" };
/** @type {WebSocket} */
let socket;
let isShown = false;

/** @type {any} */
const model = {
  get: (/** @type {string} */ trait) => traits[trait],
  on: (/** @type {string} */ _, /** @type {Heard} */ hear) => heard.add(hear),
  off: (/** @type {string} */ _, /** @type {Heard} */ hear) => heard.delete(hear),
  send: (/** @type {object} */ message) => socket.send(JSON.stringify(message)),
};

function connect() {
  const address = new URL("socket", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address);
  socket.addEventListener("message", ({ data }) => take(JSON.parse(data)));
  socket.addEventListener("close", () => setTimeout(connect, AGAIN));
}

/** The first message has the words for states, which the table needs to begin. @param {any} message */
function take(message) {
  if (message.t !== "looks") {
    for (const hear of heard) hear(message);
    return;
  }
  traits.looks = message.looks;
  if (isShown) return;
  isShown = true;
  const el = /** @type {HTMLElement} */ (document.getElementById("table"));
  el.replaceChildren();
  new HistoryView(model, el);
}

connect();
