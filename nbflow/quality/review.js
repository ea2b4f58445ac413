// A review: one record, what the model says of it, and the labels to choose from. The kernel keeps each decision and
// answers with what stands (widget.py says what travels). Plain module, no dependency; every text becomes text.

const UNHEARD = 4000; // milliseconds

function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

const key = (...names) => h("kbd", {}, ...names);
const whole = (number) => number.toLocaleString("en-US");

/** Is the page dark around `el`? By what the host says, else by how bright the nearest background is. */
function isDark(el) {
  const { jpThemeLight, vscodeThemeKind } = document.body.dataset;
  if (jpThemeLight) return jpThemeLight === "false";
  if (vscodeThemeKind) return /dark|high-contrast$/.test(vscodeThemeKind);
  for (let at = el; at; at = at.parentElement ?? at.getRootNode().host) {
    if (at.classList?.contains("dark") || at.classList?.contains("dark-theme")) return true;
    const [red, green, blue, alpha = 1] = (getComputedStyle(at).backgroundColor.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
    if (alpha > 0.5) return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
  }
  return false;
}

class ReviewView {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.id = Math.random().toString(36).slice(2, 12);
    this.asked = this.drawn = 0;
    this.now = null; // what the kernel said last
    this.abort = new AbortController();
    this.build();
    this.listen();
    this.ask("first");
  }

  build() {
    const button = (css, label, act) => h("button", { type: "button", class: `nbf-button ${css}`, onclick: act }, label);
    this.title = h("span", { class: "nbf-title" });
    this.count = h("span", { class: "nbf-faint" });
    this.bar = h("span");
    this.progress = h("div", { class: "nbr-progress", role: "progressbar", "aria-label": "Decided", "aria-valuemin": "0" }, this.bar);
    this.back = button("nbf-quiet", "Undo", () => this.ask("undo"));
    this.previous = button("nbf-quiet", "\u2190 Previous", () => this.go(-1));
    this.next = button("nbf-quiet", "Next \u2192", () => this.go(1));
    this.end = h("div", { class: "nbr-end", hidden: true }, "All decided. What you said stands in run.results(), and is the truth for nf.evaluate and nf.compare.");
    this.where = h("div", { class: "nbr-where" });
    this.list = h("dl", {});
    this.fields = h("div", { class: "nbr-fields", tabindex: "0", role: "group", "aria-label": "The record" }, this.list);
    this.said = h("div", { class: "nbr-said" });
    this.accept = h("button", { type: "button", class: "nbf-button nbr-accept", "aria-keyshortcuts": "Enter", onclick: () => this.decide(this.now?.case?.label) });
    this.find = h("input", { type: "search", class: "nbf-search nbr-find", placeholder: "Find a label", "aria-label": "Find a label", oninput: () => this.drawChoices() });
    this.choices = h("div", { class: "nbr-choices", role: "group", "aria-label": "Labels to choose from" });
    this.kept = h("span", { class: "nbr-kept", role: "status" });
    this.notice = h("div", { class: "nbf-notice nbf-wrong", role: "alert", hidden: true });
    this.speech = h("div", { class: "nbf-away", "aria-live": "polite" });
    const hint = (...parts) => h("span", { class: "nbr-hint" }, ...parts);
    this.root = h("section", { class: "nbf nbr nbf-light", tabindex: "0", "aria-label": "Review of labels", "data-lm-suppress-shortcuts": "true" },
      h("div", { class: "nbr-head" }, this.title, this.count, h("span", { class: "nbf-gap" }), h("div", { class: "nbr-keys" }, this.back, this.previous, this.next)),
      this.progress, this.notice, this.speech, this.end,
      (this.body = h("div", { class: "nbr-body" },
        h("div", { class: "nbr-record" }, this.where, this.fields),
        h("div", { class: "nbr-answer" }, this.said, this.accept, this.find, this.choices))),
      h("div", { class: "nbr-foot" }, h("span", { class: "nbr-click" }, "Click here, then:"), hint(key("Enter"), "accept"), hint(key("1"), "to", key("9"), "choose"), hint(key("\u2190"), key("\u2192"), "move"), hint(key("U"), "undo"), hint(key("/"), "find a label"), h("span", { class: "nbf-gap" }), this.kept));
    this.el.append(this.root);
  }

  listen() {
    const options = { signal: this.abort.signal };
    this.onMessage = (message) => this.take(message);
    this.model.on("msg:custom", this.onMessage);
    this.root.addEventListener("keydown", (event) => this.press(event), options);
    this.resizes = new ResizeObserver(() => this.theme());
    this.resizes.observe(this.root);
    this.themes = new MutationObserver(() => this.theme());
    for (const node of [document.documentElement, document.body]) this.themes.observe(node, { attributes: true, attributeFilter: ["class", "style", "data-jp-theme-light", "data-vscode-theme-kind", "data-theme"] });
    this.cover(true);
  }

  remove() {
    this.abort.abort();
    this.model.off("msg:custom", this.onMessage);
    this.resizes.disconnect();
    this.themes.disconnect();
    clearTimeout(this.waiting);
    this.cover(false);
    this.root.remove();
  }

  theme() {
    const dark = isDark(this.el);
    this.root.classList.toggle("nbf-dark", dark);
    this.root.classList.toggle("nbf-light", !dark);
  }

  /** While the page is there the static picture of it is not needed. */
  cover(yes) {
    const name = this.model.get("name");
    for (const node of document.querySelectorAll(".nbflow-static")) if (node.dataset.nbflow === name) (node.closest(".jp-OutputArea-child") ?? node).style.display = yes ? "none" : "";
  }

  // What is said.

  ask(kind, more = {}) {
    this.asked += 1;
    this.model.send({ t: kind, view: this.id, n: this.asked, at: this.now?.at ?? 0, ...more });
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.warn("The kernel does not answer. What it has confirmed is kept; the last key may not have been heard."), UNHEARD);
  }

  busy() {
    return this.asked !== this.drawn;
  }

  go(by) {
    if (this.now && !this.busy()) this.ask("look", { at: Math.min(Math.max(this.now.at + by, 0), this.now.total - 1) });
  }

  decide(label) {
    // One at a time: a key that is pressed before the next record is there would decide what nobody has seen.
    if (label == null || !this.now?.case || this.busy()) return;
    this.ask("decide", { label });
    this.root.focus({ preventScroll: true });
  }

  take(message) {
    if (message.view !== this.id) {
      if (message.t === "show" && this.now && !this.busy()) this.ask("look"); // another page decided
      return;
    }
    if (message.n !== this.asked) return;
    clearTimeout(this.waiting);
    this.drawn = message.n;
    if (message.t === "wrong") return this.warn(message.message);
    const moved = this.now?.at !== message.at;
    this.now = message;
    this.notice.hidden = true;
    if (message.said) this.kept.textContent = message.said === "There is nothing to take back." ? message.said : `Kept: ${message.said}`;
    if (moved) this.find.value = "";
    this.draw();
    if (moved) this.fields.scrollTop = 0;
  }

  warn(text) {
    this.drawn = this.asked;
    this.notice.hidden = false;
    this.notice.textContent = text;
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation(); // the notebook's shortcuts are not meant for the page: `d d` would delete the cell
    // A key that is held would decide one record after the other, and nobody would have seen them.
    if (event.repeat && !event.key.startsWith("Arrow") && event.target !== this.find) return event.preventDefault();
    const finding = event.target === this.find, onButton = event.target.closest("button") !== null;
    if (event.key === "Escape") {
      this.find.value = "";
      this.drawChoices();
      this.root.focus({ preventScroll: true });
    } else if (finding) {
      if (event.key !== "Enter" || event.repeat) return;
      const [first] = this.fitting();
      if (this.find.value && first) this.decide(first);
    } else if (event.key === "Enter" && !onButton) this.decide(this.now?.case?.label);
    else if (event.key === "ArrowRight") this.go(1);
    else if (event.key === "ArrowLeft") this.go(-1);
    else if (event.key === "u" || event.key === "U") { if (!this.busy()) this.ask("undo"); }
    else if (event.key === "/") this.find.focus();
    else if (/^[0-9]$/.test(event.key) && this.now) {
      const choice = this.now.choices[(Number(event.key) + 9) % 10];
      if (choice) this.decide(choice[0]);
    } else return;
    event.preventDefault();
  }

  // What there is to see.

  draw() {
    const { column, at, total, done, by, case: one } = this.now, left = total - done;
    this.title.textContent = `Review of ${column}`;
    this.count.textContent = total ? `${whole(done)} of ${whole(total)} decided, ${whole(left)} left` : "No record to review.";
    this.progress.setAttribute("aria-valuenow", done);
    this.progress.setAttribute("aria-valuemax", total);
    this.bar.style.width = `${total ? (100 * done) / total : 0}%`;
    this.end.hidden = left > 0 || !total;
    this.body.hidden = !one;
    this.previous.disabled = at <= 0;
    this.next.disabled = at >= total - 1;
    if (!one) return;
    this.where.replaceChildren(h("b", { class: "nbf-mono" }, one.key), h("span", { class: "nbf-faint" }, `record ${whole(at + 1)} of ${whole(total)}`));
    this.list.replaceChildren(...one.fields.flatMap(([name, text]) => [h("dt", {}, name), h("dd", { class: text.length > 60 || one.fields.length === 1 ? "nbr-long" : "" }, text || "\u2013")]));
    this.drawSaid(one, by);
    this.drawChoices();
    const sure = one.confidence == null ? "" : `, ${Math.round(100 * one.confidence)}% sure`;
    this.speech.textContent = `Record ${at + 1} of ${total}, ${one.key}. ${one.fields.map(([, text]) => text).join(". ").slice(0, 300)}. ${one.label ? `The model says ${one.label}${sure}.` : "The model gave no answer."}${one.decision ? ` Decided: ${one.decision[0]}.` : ""}`;
  }

  drawSaid(one, by) {
    const { label, confidence, reason, missing, decision } = one;
    const parts = [h("span", { class: "nbf-faint" }, label ? "The model says" : "The model gave no answer"), h("span", { class: "nbr-label" }, label ?? missing.toLowerCase().replace("_", " "))];
    if (confidence != null) {
      const bar = h("span");
      bar.style.width = `${100 * Math.min(1, Math.max(0, confidence))}%`;
      parts.push(h("span", { class: "nbr-sure" }, h("i", { "aria-hidden": "true" }, bar), `${Math.round(100 * confidence)}% sure, as it says`));
    }
    if (reason) parts.push(h("span", { class: "nbr-reason" }, reason));
    if (decision) {
      const when = new Date(1000 * decision[2]);
      parts.push(h("span", { class: "nbr-tag nbr-yours" }, `Decided: ${decision[0]}, by ${decision[1] === by ? "you" : decision[1]} `, h("time", { datetime: when.toISOString() }, when.toLocaleString([], { dateStyle: "short", timeStyle: "short" }))));
    }
    this.said.replaceChildren(...parts);
    this.accept.replaceChildren("Accept", key("Enter"));
    this.accept.hidden = !label || !this.now.choices.some(([choice]) => choice === label);
  }

  fitting() {
    const wanted = this.find.value.trim().toLowerCase();
    return this.now.choices.filter(([name, about]) => !wanted || `${name} ${about}`.toLowerCase().includes(wanted)).map(([name]) => name);
  }

  drawChoices() {
    const { choices, case: one } = this.now, fits = new Set(this.fitting());
    this.find.hidden = choices.length < 8;
    this.choices.replaceChildren(...choices.flatMap(([name, about], place) => {
      if (!fits.has(name)) return [];
      const chosen = one.decision?.[0] === name, digit = place < 10 ? String((place + 1) % 10) : "";
      const tag = chosen ? h("span", { class: "nbr-tag nbr-yours" }, "\u2713 decided") : one.label === name ? h("span", { class: "nbr-tag" }, "model") : h("span");
      return [h("button", { type: "button", class: `nbr-choice${chosen ? " nbr-chosen" : ""}`, "aria-pressed": String(chosen), "aria-keyshortcuts": digit || null, onclick: () => this.decide(name) },
        digit ? key(digit) : h("span"), h("span", { class: "nbr-name" }, name), tag, about ? h("span", { class: "nbr-about" }, about) : null)];
    }));
  }
}

function render({ model, el }) {
  const view = new ReviewView(model, el);
  return () => view.remove();
}

export default { render };
