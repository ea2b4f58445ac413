// The live tables, as anywidget loads them: of a run, or of all runs. page_files.py joins this file with those it needs.

import { hideStatic } from "./dom.js";
import { HistoryView } from "./history.js";
import { RunView } from "./run.js";

/** @import { Context } from "./types.js" */

/** Show the table in a cell; returns what takes it away again. @param {Context} context */
function render({ model, el }) {
  const view =
    model.get("kind") === "history" ? new HistoryView(model, el) : new RunView(model, el);
  const hiding = hideStatic(model.get("name"));
  return () => {
    view.remove();
    hiding.remove();
  };
}

export default { render };
