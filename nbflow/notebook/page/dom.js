// The elements that every page is made of. A text becomes a text node: nothing of a record is ever taken for HTML.

/** @import { Child, Props } from "./types.js" */

const SVG = "http://www.w3.org/2000/svg";
/**
 * The names are those that the kernel gives to states, and a few of the page's own.
 *
 * @type {Record<string, string>}
 */
const SHAPES = {
  ring: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2Z",
  arc: "M8 2.2A5.8 5.8 0 1 1 2.2 8",
  again: "M13.3 8A5.3 5.3 0 1 1 11.6 4.1M12.2 1.2v3.4H8.8",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  check: "M2.8 8.6l3.4 3.4 7-7.6",
  bolt: "M9.2 1.8 3.6 9.2h4l-.8 5 5.6-7.4h-4z",
  same: "M3 5.8h10M3 10.2h10",
  cross: "M3.6 3.6l8.8 8.8M12.4 3.6l-8.8 8.8",
  clock: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2ZM8 4.8V8l2.3 1.6",
  slash: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2ZM4 12 12 4",
  half: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2ZM8 2.2v11.6M8 5.4h5M8 8h5.6M8 10.6h5",
  down: "M3.5 6 8 10.5 12.5 6",
  warn: "M8 2.2 14.2 13.4H1.8zM8 6.4v3.2M8 11.4v.4",
};

/**
 * An element with attributes, listeners and children.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props} [props]
 * @param {...Child} children what is null is left out
 */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") {
      node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, String(value));
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

/**
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string>} props
 * @param {...Node} children
 */
export function svg(tag, props, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** @param {string} name */
export function icon(name) {
  const path = svg("path", { d: SHAPES[name] });
  const css = `nbf-icon nbf-i-${name}`;
  return svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true", class: css }, path);
}

/**
 * @param {string} css
 * @param {string} label
 * @param {() => void} act
 * @param {string} [glyph] the icon before the label
 */
export function button(css, label, act, glyph) {
  const props = { type: "button", class: `nbf-button ${css}`, onclick: act };
  return h("button", props, glyph ? icon(glyph) : null, h("span", {}, label));
}

/** A button that takes away what it stands in. @param {() => void} act */
export function closer(act) {
  const css = "nbf-button nbf-quiet nbf-close nbf-own";
  const props = { type: "button", class: css, "aria-label": "Close", onclick: act };
  return h("button", props, icon("cross"));
}

/** A text to be read as it stands, such as code. @param {string} content @param {string} [label] */
export function code(content, label) {
  return h("pre", { tabindex: "0", class: "nbf-code", "aria-label": label }, content);
}

// Setting what is there already costs the browser a layout, many times a second: these do not.

/** @param {Node} node @param {string} value */
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/** @param {Element} node @param {string} name @param {string | number | boolean} value */
export function attr(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/**
 * Show or hide an element, also one of SVG, which has no property `hidden`.
 *
 * @param {Element} node
 * @param {boolean} yes
 */
export function show(node, yes) {
  if (node.hasAttribute("hidden") === yes) node.toggleAttribute("hidden", !yes);
}

/** Change the label of a `button`. @param {HTMLButtonElement} node @param {string} label */
export function relabel(node, label) {
  text(/** @type {Node} */ (node.lastChild), label);
}

// What pages do to their host.

/**
 * Hide the static picture, which is for those who have no live page: wherever it stands, and whenever it comes.
 *
 * @param {string} name what the picture is known by
 * @returns the style to remove when the page goes
 */
export function hideStatic(name) {
  const mine = `.nbflow-static[data-nbflow="${name}"]`;
  const cell = `.jp-OutputArea-child:has(${mine})`;
  const hidden = "{ display: none !important; }";
  // Two rules: a browser drops a whole rule for a selector that it does not know, as :has.
  const style = h("style", {}, `${mine} ${hidden} ${cell} ${hidden}`);
  document.head.append(style);
  return style;
}

/** Put a text on the clipboard. @param {string} value @returns {Promise<void>} */
export async function copy(value) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(value);
  const area = h("textarea", { class: "nbf-away" });
  area.value = value;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy"); // the only way on a page that came over plain http
  area.remove();
  if (!isCopied) throw new Error("The browser does not let this page copy.");
}

/** Download a text as a CSV file. @param {string} name @param {string} content */
export function save(name, content) {
  // Spreadsheets take a file without the mark at its beginning for Latin letters.
  const file = new Blob(["\ufeff", content], { type: "text/csv;charset=utf-8" });
  const url = URL.createObjectURL(file);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
