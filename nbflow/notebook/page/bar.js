// A bar of stacked parts, each in the colour of a state.

import { attr, h } from "./dom.js";

/** @typedef {[css: string, number: number]} Part */

export class Bar {
  /** @param {string} css */
  constructor(css) {
    this.node = h("div", { class: css, role: "img" });
    /** @type {Map<string, HTMLElement>} */
    this.parts = new Map();
  }

  /**
   * @param {Part[]} parts
   * @param {number} total what the whole bar stands for
   * @param {string} label
   */
  draw(parts, total, label) {
    attr(this.node, "aria-label", label);
    for (const [css, number] of parts) {
      const part = this.parts.get(css) ?? this.add(css);
      const width = total ? `${(100 * number) / total}%` : "0";
      if (part.style.width !== width) part.style.width = width;
    }
  }

  /** @param {string} css */
  add(css) {
    const part = h("span", { class: css });
    this.node.append(part);
    this.parts.set(css, part);
    return part;
  }
}
