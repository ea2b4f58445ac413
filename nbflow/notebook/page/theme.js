// Whether the page around is dark. Hosts say so in different ways, or not at all.

import { h } from "./dom.js";

/** @typedef {ArrayLike<number>} Pixel red, green, blue and alpha, from 0 to 255 */

/**
 * What a page says of its theme.
 *
 * @typedef {object} Hints
 * @property {{ jpThemeLight?: string, vscodeThemeKind?: string }} host what Jupyter or VS Code say
 * @property {Iterable<{ isMarked: boolean, background: Pixel }>} around the elements around, from within outwards
 * @property {boolean} prefersDark what the reader asks pages for
 * @property {string} scheme what the page says it is able to
 */

const MARKS = ["dark", "dark-theme"]; // classes that hosts without an attribute of their own use
const OPAQUE = 127;
const BRIGHT = 128;
const ATTRIBUTES = [
  "class",
  "style",
  "data-jp-theme-light",
  "data-jp-theme-name",
  "data-vscode-theme-kind",
  "data-theme",
];

/** By what the host says, else by how bright the background is. @param {Hints} hints */
export function decideDark({ host, around, prefersDark, scheme }) {
  if (host.jpThemeLight) return host.jpThemeLight === "false";
  if (host.vscodeThemeKind) return /dark|high-contrast$/.test(host.vscodeThemeKind);
  for (const { isMarked, background } of around) {
    if (isMarked) return true;
    const [red, green, blue, alpha] = Array.from(background);
    if (alpha > OPAQUE) return 0.299 * red + 0.587 * green + 0.114 * blue < BRIGHT;
  }
  // No element has a background: the browser's own canvas is seen.
  return prefersDark && scheme.includes("dark");
}

/** Is the page dark around `el`? @param {Element} el */
export function isDark(el) {
  return decideDark({
    host: document.body.dataset,
    around: surroundings(el),
    prefersDark: matchMedia("(prefers-color-scheme: dark)").matches,
    scheme: getComputedStyle(document.documentElement).colorScheme,
  });
}

/** The element and those around it, out of shadow trees too. @param {Element} el */
function* surroundings(el) {
  /** @type {Element | null} */
  let at = el;
  while (at) {
    const { classList } = at;
    const isMarked = MARKS.some((mark) => classList.contains(mark));
    yield { isMarked, background: pixel(getComputedStyle(at).backgroundColor) };
    at = at.parentElement ?? hostOf(at);
  }
}

/** @param {Element} el */
function hostOf(el) {
  const root = el.getRootNode();
  return root instanceof ShadowRoot ? root.host : null;
}

/**
 * A colour as a pixel shows it: notations are many, and only the browser knows them all.
 *
 * @param {string} colour
 */
function pixel(colour) {
  const canvas = h("canvas", { width: 1, height: 1 });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  if (!pen) return [0, 0, 0, 0];
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  return pen.getImageData(0, 0, 1, 1).data;
}

/**
 * Keep the classes of `root` as the theme around `el` is.
 *
 * @param {Element} root
 * @param {Element} el
 * @returns {() => void} what ends it
 */
export function followTheme(root, el) {
  const update = () => {
    const dark = isDark(el);
    root.classList.toggle("nbf-dark", dark);
    root.classList.toggle("nbf-light", !dark);
  };
  // A size is told at the beginning too, and again when a page that was hidden is shown.
  const sizes = new ResizeObserver(update);
  sizes.observe(root);
  const themes = new MutationObserver(update);
  for (const node of [document.documentElement, document.body]) {
    themes.observe(node, { attributes: true, attributeFilter: ATTRIBUTES });
  }
  return () => {
    sizes.disconnect();
    themes.disconnect();
  };
}
