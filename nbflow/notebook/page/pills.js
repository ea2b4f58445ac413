// Filters that are drawn anew whenever what they filter changes.

import { h } from "./dom.js";

/** @import { Child, Pill } from "./types.js" */

export class Pills {
  drawn = "";

  /** @param {string} label */
  constructor(label) {
    this.node = h("div", { class: "nbf-causes", role: "group", "aria-label": label });
  }

  /**
   * Draw what `make` makes, if `wanted` is another than it was.
   *
   * @param {unknown} wanted what the pills depend on
   * @param {() => { pills: Pill[], rest?: Child }} make
   */
  draw(wanted, make) {
    const known = JSON.stringify(wanted);
    if (known === this.drawn) return;
    this.drawn = known;
    const focused = this.focused;
    const { pills, rest } = make();
    this.node.replaceChildren(...pills.map(pillOf));
    if (rest != null) this.node.append(rest);
    if (focused === undefined) return;
    const found = pills.findIndex((pill) => String(pill.key) === focused);
    /** @type {HTMLElement | undefined} */ (this.node.children[found])?.focus();
  }

  /** Draw next time, even if nothing has changed. */
  forget() {
    this.drawn = "";
  }

  /** The key of the pill that has the focus. */
  get focused() {
    const { activeElement } = document;
    const isMine = activeElement instanceof HTMLElement && this.node.contains(activeElement);
    return isMine ? activeElement.dataset.key : undefined;
  }
}

/** @param {Pill} pill */
function pillOf({ key, isPressed, css = "", title, act, content }) {
  const props = {
    type: "button",
    class: `nbf-pill ${css}`,
    "data-key": key,
    "aria-pressed": String(isPressed),
    title,
    onclick: act,
  };
  return h("button", props, ...content);
}
