// The steps of one row, in a line: how the call of each ended.

import { h } from "./dom.js";

/** @import { Look } from "./types.js" */
/** @import { States } from "./states.js" */

/**
 * How each call of a row ended; null where there was none.
 *
 * @param {States} states
 * @param {number} state the state of the row
 * @param {string} track a letter for each step: the code of how its call ended, in hexadecimal, "-" where it was not called
 * @returns {(Look | null)[]}
 */
export function callsOf(states, state, track) {
  const row = states.looks[state];
  let isRunning = row.name === "RUNNING"; // at the first step that has not ended
  return [...(track || "-")].map((letter) => {
    if (letter !== "-") return states.looks[Number.parseInt(letter, 16)];
    if (row.name === "CACHED") return row; // the whole flow was, and called nothing
    if (row.name === "COMPLETED" && !track) return row;
    if (isRunning) {
      isRunning = false;
      return row;
    }
    return track || row.name === "QUEUED" ? null : row;
  });
}

/** @param {States} states @param {number} state @param {string} track */
export function trackBar(states, state, track) {
  const calls = callsOf(states, state, track);
  const words = calls.map((look) => look?.word ?? "not called").join(", ");
  const parts = calls.map((look) => h("span", { class: look?.css ?? "" }));
  const props = { class: "nbf-trackbar", role: "img", "aria-label": `steps: ${words}` };
  return h("span", props, ...parts);
}
