// Filters that are drawn anew whenever what they filter changes.

import { h } from "./dom.js";
import { several } from "./numbers.js";

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

/** Filters of which a few are shown, and the rest once somebody asks for it. */
export class FewPills extends Pills {
  showsAll = false;

  /**
   * @param {string} label
   * @param {object} options
   * @param {number} options.few that are shown at first
   * @param {string} options.word what they stand for: `cause`
   * @param {string} [options.css] of the pill that shows the rest
   * @param {() => void} options.paint
   */
  constructor(label, { few, word, css = "", paint }) {
    super(label);
    this.few = few;
    this.word = word;
    this.css = css;
    this.paint = paint;
  }

  /**
   * @template T
   * @param {unknown} wanted what the pills depend on beside what they stand for
   * @param {T[]} known the first of what they stand for
   * @param {number} total how many there are
   * @param {(one: T) => Pill} pill
   */
  drawFew(wanted, known, total, pill) {
    this.node.classList.toggle("nbf-all", this.showsAll);
    this.draw([wanted, known, total, this.showsAll], () => {
      const shown = this.showsAll ? known : known.slice(0, this.few);
      const more = total - shown.length;
      const rest = more > 0 ? this.moreOf(more, total, known.length > shown.length) : null;
      return { pills: shown.map(pill), rest };
    });
  }

  /** @param {number} more @param {number} total @param {boolean} areKnown can they be shown? */
  moreOf(more, total, areKnown) {
    const act = () => {
      this.showsAll = true;
      this.paint();
    };
    const css = `nbf-pill nbf-rest ${this.css}`;
    const props = { type: "button", class: css, disabled: !areKnown, onclick: act };
    const words = this.showsAll ? several(more, `more ${this.word}`) : several(total, this.word);
    return h("button", props, words);
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
