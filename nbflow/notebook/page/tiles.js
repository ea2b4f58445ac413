// Numbers by state, which are filters.

import { attr, h, icon, show, text } from "./dom.js";
import { whole } from "./numbers.js";

/** @import { Look } from "./types.js" */

/** @typedef {{ node: HTMLButtonElement, number: HTMLElement }} Tile */

/** @template Key what a filter is known by */
export class Tiles {
  /** @param {string} label @param {(key: Key) => void} toggle */
  constructor(label, toggle) {
    this.node = h("div", { class: "nbf-strip", role: "group", "aria-label": label });
    /** @type {Map<Key, Tile>} */
    this.tiles = new Map();
    this.toggle = toggle;
  }

  /**
   * @param {Key} key
   * @param {Look} look
   * @param {number} number
   * @param {{ pressed: boolean, always: boolean }} how `always`: shown also where there are none
   */
  draw(key, look, number, { pressed, always }) {
    const tile = this.tiles.get(key) ?? this.add(key, look);
    text(tile.number, whole(number));
    attr(tile.node, "aria-pressed", pressed);
    tile.node.classList.toggle("nbf-none", !number);
    show(tile.node, always || number > 0 || pressed);
  }

  /** @param {Key} key @param {Look} look */
  add(key, look) {
    const number = h("b");
    const word = h("span", { class: "nbf-word" }, icon(look.icon), look.word);
    const css = `nbf-tile ${look.css}`;
    const props = { type: "button", class: css, onclick: () => this.toggle(key) };
    const tile = { number, node: h("button", props, number, word) };
    this.node.append(tile.node);
    this.tiles.set(key, tile);
    return tile;
  }
}

/**
 * A list with `one` in it if it was not, and without it if it was.
 *
 * @template One
 * @param {One[]} list
 * @param {One} one
 */
export function toggled(list, one) {
  return list.includes(one) ? list.filter((other) => other !== one) : [...list, one];
}
