import assert from "node:assert/strict";
import { test } from "node:test";
import { decideDark } from "../../nbflow/notebook/page/theme.js";

/** @import { Hints } from "../../nbflow/notebook/page/theme.js" */

const WHITE = [255, 255, 255, 255];
const BLACK = [17, 20, 24, 255];
const CLEAR = [0, 0, 0, 0];

/** @param {Partial<Hints>} hints */
const decide = (hints) =>
  decideDark({ host: {}, around: [], prefersDark: false, scheme: "normal", ...hints });
/** @param {...number[]} backgrounds */
const around = (...backgrounds) =>
  backgrounds.map((background) => ({ isMarked: false, background }));

test("what JupyterLab says counts, whatever the background", () => {
  assert.equal(decide({ host: { jpThemeLight: "true" }, around: around(BLACK) }), false);
  assert.equal(decide({ host: { jpThemeLight: "false" }, around: around(WHITE) }), true);
});

test("VS Code has two dark kinds and two light ones", () => {
  const kinds = {
    "vscode-dark": true,
    "vscode-high-contrast": true,
    "vscode-light": false,
    "vscode-high-contrast-light": false,
  };
  for (const [vscodeThemeKind, isDark] of Object.entries(kinds)) {
    assert.equal(decide({ host: { vscodeThemeKind } }), isDark, vscodeThemeKind);
  }
});

test("the nearest background that one cannot see through decides", () => {
  assert.equal(decide({ around: around(CLEAR, WHITE, BLACK) }), false);
  assert.equal(decide({ around: around(CLEAR, [255, 255, 255, 100], BLACK, WHITE) }), true);
});

test("green is brighter than blue", () => {
  assert.equal(decide({ around: around([0, 255, 0, 255]) }), false);
  assert.equal(decide({ around: around([0, 0, 255, 255]) }), true);
});

test("a class that says dark counts where it stands", () => {
  const marked = { isMarked: true, background: CLEAR };
  assert.equal(decide({ around: [...around(CLEAR), marked, ...around(WHITE)] }), true);
  assert.equal(decide({ around: [...around(WHITE), marked] }), false);
});

test("a page without a background is dark if it can be and the reader wants it", () => {
  const hints = { around: around(CLEAR, CLEAR), prefersDark: true };
  assert.equal(decide({ ...hints, scheme: "light dark" }), true);
  assert.equal(decide({ ...hints, scheme: "normal" }), false);
  assert.equal(decide({ ...hints, scheme: "dark", prefersDark: false }), false);
});

test("no background is looked at that does not matter", () => {
  function* surroundings() {
    yield { isMarked: false, background: WHITE };
    throw new Error("looked too far");
  }
  assert.equal(decide({ around: surroundings() }), false);
  assert.equal(decide({ host: { jpThemeLight: "false" }, around: surroundings() }), true);
});
