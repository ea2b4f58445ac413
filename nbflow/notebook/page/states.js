// States as the kernel hands them over: it alone knows their names, words and icons. Colours are in table.css.

import { h, icon } from "./dom.js";

/** @import { Counts, Look, Looks, ToldLook } from "./types.js" */

/** @param {ToldLook} told @returns {Look} */
function lookOf([name, word, icon, brief = word]) {
  return { name, word, icon, brief, css: `nbf-s-${name.toLowerCase().replaceAll("_", "-")}` };
}

/**
 * The states of records and runs. A state of a record travels as its code, its place in the list.
 */
export class States {
  /** @param {Looks} looks */
  constructor(looks) {
    this.looks = looks.states.map(lookOf);
    this.runs = looks.runs.map(lookOf);
    this.codes = new Map(this.looks.map((look, code) => [look.name, code]));
    this.runsByName = new Map(this.runs.map((look) => [look.name, look]));
  }

  /** @param {string} name */
  code(name) {
    return known(this.codes.get(name), name);
  }

  /** @param {string} name */
  named(name) {
    return this.looks[this.code(name)];
  }

  /** @param {string} name */
  run(name) {
    return known(this.runsByName.get(name), name);
  }

  /** How many there are in any of these states. @param {Counts} counts @param {...string} names */
  sum(counts, ...names) {
    return names.reduce((sum, name) => sum + (counts[this.code(name)] ?? 0), 0);
  }

  /**
   * The numbers in words, of those that are not zero.
   *
   * @param {Counts} counts
   * @param {string[]} names
   * @param {(number: number) => string} format
   */
  told(counts, names, format) {
    const met = names.filter((name) => this.sum(counts, name));
    const words = met.map((name) => `${format(this.sum(counts, name))} ${this.named(name).word}`);
    return words.join(", ");
  }

  /**
   * The numbers as the parts of a bar.
   *
   * @param {Counts} counts
   * @param {string[]} names
   * @returns {[css: string, number: number][]}
   */
  parts(counts, names) {
    return names.map((name) => [this.named(name).css, this.sum(counts, name)]);
  }
}

/** @template Found @param {Found | undefined} found @param {string} name @returns {Found} */
function known(found, name) {
  if (found === undefined) throw new Error(`The kernel knows no state ${name}.`);
  return found;
}

/** A state as word and icon, in its colour. @param {Look} look @param {string} word */
export function chip(look, word = look.word) {
  const props = { class: `nbf-chip ${look.css}`, title: word === look.word ? null : look.word };
  return h("span", props, icon(look.icon), h("span", {}, word));
}
