// The live tables: of a run, and of all runs. The kernel owns the rows (talk.py says what travels); here is what one sees.
// Plain module, no dependency, no request. Every text becomes text: nothing of a record is ever taken for HTML.

const ICONS = {
  ring: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2Z",
  arc: "M8 2.2A5.8 5.8 0 1 1 2.2 8",
  again: "M13.3 8A5.3 5.3 0 1 1 11.6 4.1M12.2 1.2v3.4H8.8",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  check: "M2.8 8.6l3.4 3.4 7-7.6",
  bolt: "M9.2 1.8 3.6 9.2h4l-.8 5 5.6-7.4h-4z",
  cross: "M3.6 3.6l8.8 8.8M12.4 3.6l-8.8 8.8",
  clock: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2ZM8 4.8V8l2.3 1.6",
  slash: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2ZM4 12 12 4",
  half: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2ZM8 2.2v11.6M8 5.4h5M8 8h5.6M8 10.6h5",
  warn: "M8 2.2 14.2 13.4H1.8zM8 6.4v3.2M8 11.4v.4",
};
// In the order of nbflow's State: the number that travels is the place here.
const STATES = [
  ["QUEUED", "queued", "ring"], ["RUNNING", "running", "arc"], ["RETRYING", "retrying", "again"], ["WAITING", "waiting", "pause"],
  ["COMPLETED", "completed", "check"], ["CACHED", "cached", "bolt"], ["FAILED", "failed", "cross"], ["TIMED_OUT", "timed out", "clock"],
  ["CANCELLED", "cancelled", "slash"], ["INTERRUPTED", "interrupted", "warn"],
].map(([name, word, icon]) => ({ name, word, icon, css: `nbf-s-${word.replace(" ", "-")}` }));
const [QUEUED, RUNNING, RETRYING, WAITING, COMPLETED, CACHED, FAILED, TIMED_OUT, CANCELLED, INTERRUPTED] = STATES.keys();
const PARTIAL = { word: "partial", icon: "half", css: "nbf-s-partial" };
const RUN_STATES = { RUNNING: STATES[RUNNING], PARTIAL, FAILED: STATES[FAILED], CANCELLED: STATES[CANCELLED], INTERRUPTED: STATES[INTERRUPTED], COMPLETED: STATES[COMPLETED] };
const TILES = [QUEUED, RUNNING, RETRYING, COMPLETED, CACHED, FAILED, TIMED_OUT, CANCELLED, INTERRUPTED];
const ALWAYS = new Set([QUEUED, RUNNING, COMPLETED, CACHED, FAILED]);
const BAR = [COMPLETED, CACHED, RUNNING, RETRYING, FAILED, TIMED_OUT, CANCELLED, INTERRUPTED];
const COLUMNS = [["state", "State"], ["key", "Record"], ["flow", "Flow"], [null, "Steps"], ["attempts", "Try"], ["seconds", "Time"], ["cost", "Cost"], [null, "Message"]];
const RUNS = [[null, "Pick"], ["state", "State"], ["event", "Event"], ["started", "Started"], ["seconds", "Took"], ["records", "Records"], [null, "Outcome"], ["failed", "Failed"], ["cost", "Cost"], ["run", "Run"]];
const CHANGES = [[null, "Record"], [null, "Flow"], [null, "Field"], [null, "Before"], [null, "After"]];

const ROW = 30, LIST = 12, SHORT = 8, MARGIN = 12, TALLEST = 6e6; // a taller element than some 16 million pixels, browsers cut
const DEAD = 9000, UNHEARD = 1500, SPOKEN = 15000, PATIENCE = 24000; // milliseconds

// Small things.

function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `nbf-icon nbf-i-${name}`);
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

const mark = (code) => icon(STATES[code].icon);
const chip = (look) => h("span", { class: `nbf-chip ${look.css}` }, icon(look.icon), h("span", {}, look.word));
const text = (node, value) => { if (node.textContent !== value) node.textContent = value; };
const attr = (node, name, value) => { if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value); };
const show = (node, yes) => { if (node.hasAttribute("hidden") === yes) node.toggleAttribute("hidden", !yes); }; // also of SVG
const whole = (number) => Math.round(number).toLocaleString("en-US");
const several = (number, noun) => `${whole(number)} ${noun}${number === 1 ? "" : "s"}`;

function duration(seconds) {
  if (!(seconds > 0)) return "";
  if (seconds < 0.001) return "<1 ms";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 99.95) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60), rest = Math.round(seconds) % 60;
  if (minutes < 60) return `${minutes} min ${String(rest).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

function rate(perSecond) {
  if (!perSecond) return perSecond === 0 ? "0" : "–";
  return perSecond >= 100 ? whole(perSecond) : perSecond >= 0.995 ? perSecond.toFixed(1) : perSecond.toFixed(2);
}

/** A colour, in whatever notation, as red, green, blue and alpha from 0 to 255. */
function pixel(colour) {
  const canvas = h("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return canvas.getImageData(0, 0, 1, 1).data;
}

/** Is the page dark around `el`? By what the host says, else by how bright the background is. */
function isDark(el) {
  const body = document.body;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
  if (body.dataset.vscodeThemeKind) return /dark|high-contrast$/.test(body.dataset.vscodeThemeKind);
  for (let at = el; at; at = at.parentElement ?? at.getRootNode().host) {
    if (at.classList?.contains("dark") || at.classList?.contains("dark-theme")) return true;
    const [red, green, blue, alpha] = pixel(getComputedStyle(at).backgroundColor);
    if (alpha > 127) return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches && getComputedStyle(document.documentElement).colorScheme.includes("dark");
}

function copy(value) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(value);
  const area = h("textarea", { class: "nbf-away" });
  area.value = value;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy"); // the only way on a page that came over plain http
  area.remove();
  return copied ? Promise.resolve() : Promise.reject(new Error("The browser does not let this page copy."));
}

function save(name, content) {
  const url = URL.createObjectURL(new Blob(["\ufeff", content], { type: "text/csv;charset=utf-8" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** A bar of stacked parts, `[[css, number, word]]` of `total`. */
class Bar {
  constructor(css) {
    this.node = h("div", { class: css, role: "img" });
    this.parts = new Map();
  }

  draw(parts, total, label) {
    attr(this.node, "aria-label", label);
    for (const [css, number] of parts) {
      let part = this.parts.get(css);
      if (!part) this.node.append((this.parts.set(css, h("span", { class: css })), part = this.parts.get(css)));
      const width = total ? `${(100 * number) / total}%` : "0";
      if (part.style.width !== width) part.style.width = width;
    }
  }
}

// Rows: as many elements as fit, whatever their number.

class Grid {
  /** `owner` asks the kernel for rows (`ask`), paints (`paint`) and sorts; the rest says what stands in a row. */
  constructor(owner, { id, css = "", label, columns, most, open, fill, refresh = () => {}, isOpen = () => false, keys = {} }) {
    Object.assign(this, { owner, id, columns, most, open, fill, refresh, isOpen, keys });
    this.page = { total: 0, offset: 0, rows: [] };
    this.active = 0; // the row that the keyboard is at
    this.rows = [];
    this.heads = columns.map(([sort, word]) => h("div", { role: "columnheader", class: `nbf-cell nbf-c-${word.toLowerCase()}` },
      sort ? h("button", { type: "button", class: "nbf-sort", onclick: () => owner.sort(sort) }, word) : h("span", {}, word)));
    this.body = h("div", { role: "rowgroup", class: "nbf-rows" });
    this.spacer = h("div", { class: "nbf-spacer", role: "presentation" }, this.body);
    this.scroll = h("div", { role: "grid", class: `nbf-grid ${css}`, "aria-label": label, tabindex: "0" },
      h("div", { role: "rowgroup", class: "nbf-thead" }, h("div", { role: "row", class: "nbf-row nbf-headrow", "aria-rowindex": "1" }, ...this.heads)), this.spacer);
    this.empty = h("div", { class: "nbf-empty", hidden: true });
    this.node = h("div", { class: "nbf-list" }, this.scroll, this.empty);
  }

  listen(options) {
    this.scroll.addEventListener("scroll", () => this.scrolled(), { passive: true, ...options });
    this.scroll.addEventListener("keydown", (event) => this.key(event), options);
    this.scroll.addEventListener("pointerenter", () => this.hold(true), options);
    this.scroll.addEventListener("pointerleave", () => this.hold(false), options);
  }

  /** Rows do not move under the pointer, nor under a reader who has scrolled. */
  isHeld() {
    return (this.held || this.scroll.scrollTop > 0) && this.page.total > 0;
  }

  hold(held) {
    this.held = held;
    this.owner.ask();
  }

  top() {
    this.scroll.scrollTop = 0;
    this.active = 0;
  }

  /** What to ask the kernel for: the rows that are seen, and some around them. */
  get wanted() {
    const { first, visible } = this.window();
    return { offset: Math.max(0, first - MARGIN), limit: visible + 2 * MARGIN };
  }

  /** The height in which rows are seen: what the head of the grid leaves. */
  get room() {
    return Math.max(ROW, this.scroll.clientHeight - ROW);
  }

  window() {
    const { room } = this, { total } = this.page, visible = this.scroll.clientHeight ? Math.ceil(room / ROW) : this.most;
    const high = total * ROW, top = this.scroll.scrollTop;
    if (high <= TALLEST) return { visible, exact: top / ROW, first: Math.floor(top / ROW) };
    const exact = (top / Math.max(1, TALLEST - room)) * (total - room / ROW);
    return { visible, exact, first: Math.floor(exact) };
  }

  scrolled() {
    const { first, visible } = this.window(), { offset, rows, total } = this.page;
    const short = first < offset + MARGIN / 2 && offset > 0, long = first + visible > offset + rows.length - MARGIN / 2 && offset + rows.length < total;
    if (short || long || this.wasHeld !== this.isHeld()) this.owner.ask();
    this.wasHeld = this.isHeld();
    this.owner.paint();
  }

  draw(query, words, tall = false) {
    const { page } = this;
    const height = `${Math.min(page.total * ROW, TALLEST)}px`;
    if (this.spacer.style.height !== height) this.spacer.style.height = height;
    const fits = `${((tall ? this.most : Math.min(page.total, this.most)) + 1) * ROW}px`;
    if (this.scroll.style.height !== fits) this.scroll.style.height = fits;
    show(this.empty, page.total === 0);
    text(this.empty, words);
    attr(this.scroll, "aria-rowcount", page.total + 1);
    this.columns.forEach(([sort], at) => sort && attr(this.heads[at], "aria-sort", query.sort === sort ? (query.descending ? "descending" : "ascending") : "none"));
    const { first, exact, visible } = this.window();
    const scaled = page.total * ROW > TALLEST, base = scaled ? this.scroll.scrollTop - exact * ROW : 0;
    const from = Math.max(first - 2, page.offset), to = Math.min(first + visible + 3, page.offset + page.rows.length);
    const wanted = Math.max(0, to - from);
    while (this.rows.length < wanted) this.rows.push(this.makeRow());
    this.rows.forEach((row, at) => {
      const index = from + at, there = at < wanted;
      show(row.node, there);
      if (!there) return;
      const y = `translateY(${base + index * ROW}px)`;
      if (row.node.style.transform !== y) row.node.style.transform = y;
      this.drawRow(row, index, page.rows[index - page.offset]);
    });
  }

  makeRow() {
    const cells = this.columns.map(([, word]) => h("div", { role: "gridcell", class: `nbf-cell nbf-c-${word.toLowerCase()}` }));
    const row = { node: null, cells, data: null, index: -1, known: "" };
    row.node = h("div", { role: "row", class: "nbf-row nbf-record", onclick: () => { this.active = row.index; this.enter(row.data); } }, ...cells);
    this.body.append(row.node);
    return row;
  }

  drawRow(row, index, data) {
    row.data = data;
    row.index = index;
    attr(row.node, "aria-rowindex", index + 2);
    attr(row.node, "aria-selected", this.isOpen(data));
    row.node.id = `nbf-${this.id}-${index}`;
    const known = JSON.stringify(data);
    if (row.known !== known) {
      row.known = known;
      row.node.className = `nbf-row nbf-record ${this.fill(row.cells, data) ?? ""}`;
    }
    row.node.classList.toggle("nbf-active", index === this.active);
    this.refresh(row.cells, data);
  }

  enter(data) {
    if (data && !this.owner.isDead) this.open(data);
  }

  key(event) {
    if (event.target.closest(".nbf-headrow")) return;
    const { total } = this.page, many = Math.max(1, Math.floor(this.room / ROW) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: many, PageUp: -many, Home: -total, End: total };
    const data = this.page.rows[this.active - this.page.offset];
    if (event.key in steps) {
      this.active = Math.max(0, Math.min(total - 1, this.active + steps[event.key]));
      this.reveal();
    } else if (event.key === "Enter" || event.key === " ") {
      this.enter(data);
    } else if (event.key in this.keys) {
      if (data && !this.owner.isDead) this.keys[event.key](data);
    } else return;
    attr(this.scroll, "aria-activedescendant", `nbf-${this.id}-${this.active}`);
    event.preventDefault();
  }

  reveal() {
    const { room } = this, { total } = this.page;
    if (total * ROW > TALLEST) {
      const { first, visible } = this.window();
      if (this.active < first + 1 || this.active > first + visible - 2) this.scroll.scrollTop = ((this.active - visible / 2) / (total - room / ROW)) * (TALLEST - room);
    } else if (this.active * ROW < this.scroll.scrollTop) this.scroll.scrollTop = this.active * ROW;
    else if ((this.active + 1) * ROW > this.scroll.scrollTop + room) this.scroll.scrollTop = (this.active + 1) * ROW - room;
    this.owner.paint();
  }
}

/** Numbers by state that are filters: `[key, look, number, always]`. */
class Tiles {
  constructor(label, toggle) {
    this.node = h("div", { class: "nbf-strip", role: "group", "aria-label": label });
    this.tiles = new Map();
    this.toggle = toggle;
  }

  draw(parts, pressed) {
    for (const [key, look, number, always] of parts) {
      let tile = this.tiles.get(key);
      if (!tile) {
        tile = { number: h("b", {}) };
        tile.node = h("button", { type: "button", class: `nbf-tile ${look.css}`, "aria-pressed": "false", onclick: () => this.toggle(key) }, tile.number, h("span", { class: "nbf-word" }, icon(look.icon), look.word));
        this.node.append(tile.node);
        this.tiles.set(key, tile);
      }
      text(tile.number, whole(number));
      attr(tile.node, "aria-pressed", pressed.includes(key));
      tile.node.classList.toggle("nbf-none", !number);
      show(tile.node, always || number > 0 || pressed.includes(key));
    }
  }
}

const button = (css, label, act, glyph) => h("button", { type: "button", class: `nbf-button ${css}`, onclick: act }, glyph ? icon(glyph) : null, h("span", {}, label));
const toggled = (list, one) => (list.includes(one) ? list.filter((other) => other !== one) : [...list, one]);

// A table: what all of them have, whatever they show.

class LiveView {
  /** `plain` is what it asks for until somebody touches it. */
  constructor(model, el, plain) {
    this.model = model;
    this.el = el;
    this.plain = plain;
    this.query = { ...plain };
    this.id = Math.random().toString(36).slice(2, 12);
    this.asked = this.acts = 0;
    this.patience = UNHEARD;
    this.head = null; // the latest tick
    this.pending = new Map(); // what the kernel has not answered
    this.heard = Date.now();
    this.ahead = 0; // the kernel's clock against ours, seconds
    this.spoken = 0;
    this.abort = new AbortController();
    this.sentence = h("div", { class: "nbf-sentence" });
    this.notice = h("div", { class: "nbf-notice", role: "status", hidden: true });
    this.speech = h("div", { class: "nbf-away", "aria-live": "polite" });
    this.warning = h("div", { class: "nbf-warning", role: "status", hidden: true });
    this.count = h("span", {});
    this.clear = button("nbf-quiet", "Show all", () => this.filter({ ...this.plain, sort: this.query.sort, descending: this.query.descending }));
    this.build();
    this.listen();
    this.ask();
  }

  /** The parts that every table has, in their places. */
  frame(header, ...parts) {
    this.root = h("div", { class: "nbf nbf-light", "data-lm-suppress-shortcuts": "true" },
      h("div", { class: "nbf-header" }, ...header), this.sentence, this.warning, this.notice, this.speech, ...parts,
      h("div", { class: "nbf-footer nbf-faint" }, this.count));
    this.el.append(this.root);
  }

  searchbox(label) {
    this.search = h("input", { type: "search", class: "nbf-search", placeholder: label, "aria-label": label, oninput: () => this.searchSoon() });
    return this.search;
  }

  listen() {
    const options = { signal: this.abort.signal };
    this.onMessage = (message) => this.take(message);
    this.model.on("msg:custom", this.onMessage);
    for (const grid of this.grids) grid.listen(options);
    // The notebook's shortcuts are not meant for the table: `d d` would delete the cell.
    this.root.addEventListener("keydown", (event) => { if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); }, options);
    this.root.addEventListener("keydown", (event) => { if (event.key === "Escape") this.escape(); }, options);
    this.resizes = new ResizeObserver(() => { this.theme(); this.paint(); });
    this.resizes.observe(this.root);
    this.themes = new MutationObserver(() => this.theme());
    for (const node of [document.documentElement, document.body]) this.themes.observe(node, { attributes: true, attributeFilter: ["class", "style", "data-jp-theme-light", "data-jp-theme-name", "data-vscode-theme-kind", "data-theme"] });
    this.seen = true;
    this.sight = new IntersectionObserver((entries) => {
      const seen = entries[entries.length - 1].isIntersecting;
      if (seen !== this.seen) { this.seen = seen; this.ask(); }
    });
    this.sight.observe(this.root);
    this.pulse = setInterval(() => this.beat(), 1000);
    this.hideStatic();
  }

  remove() {
    this.send({ t: "gone" });
    this.model.off("msg:custom", this.onMessage);
    this.abort.abort();
    this.resizes.disconnect();
    this.themes.disconnect();
    this.sight.disconnect();
    clearInterval(this.pulse);
    clearTimeout(this.typing);
    cancelAnimationFrame(this.frameAsked);
    this.gone = true;
    this.hiding?.remove();
    this.root.remove();
  }

  /** The static picture is for those who have no live table: wherever it stands, and whenever it comes. */
  hideStatic() {
    const name = this.model.get("name");
    if (!name) return;
    const mine = `.nbflow-static[data-nbflow="${name}"]`;
    this.hiding = h("style", {}, `${mine}, .jp-OutputArea-child:has(${mine}) { display: none !important; }`);
    document.head.append(this.hiding);
  }

  theme() {
    const dark = isDark(this.el);
    this.root.classList.toggle("nbf-dark", dark);
    this.root.classList.toggle("nbf-light", !dark);
  }

  // To the kernel.

  send(message) {
    try {
      this.model.send({ id: this.id, ...message });
    } catch {
      this.heard = 0; // no kernel to send to
    }
  }

  ask() {
    if (this.asking || this.gone) return;
    this.asking = true;
    this.askedAt = Date.now();
    queueMicrotask(() => {
      this.asking = false;
      this.send({ t: "view", n: ++this.asked, ...this.grid.wanted, held: this.grid.isHeld(), seen: this.seen, query: this.question() });
    });
  }

  question() {
    return this.query;
  }

  request(kind, more = {}) {
    const n = ++this.acts;
    this.pending.set(n, { kind, ...more, at: Date.now() });
    this.send({ t: kind, n, ...more });
    return n;
  }

  act(what, more = {}) {
    this.say(what === "stop" ? "Asking the run to stop ..." : "Asking the kernel ...");
    this.request("act", { what, ...more });
  }

  filter(change) {
    Object.assign(this.query, change);
    if (this.search.value !== this.query.text) this.search.value = this.query.text;
    this.grid.top();
    this.ask();
    this.paint();
  }

  sort(column, downwards = false) {
    const same = this.query.sort === column;
    this.filter({ sort: column, descending: same ? !this.query.descending : downwards });
  }

  searchSoon() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.filter({ text: this.search.value.trim() }), 200);
  }

  // From the kernel.

  take(message) {
    this.heard = Date.now();
    if (message.t === "tick") {
      const { grid, head } = this;
      if (head && message.n < head.n) return; // overtaken
      const page = message.pages[this.id] ?? (this.isPlain() && message.pages[""]);
      if (page && page.n >= (grid.page.n ?? 0)) grid.page = page;
      if (grid.page.n === this.asked) this.patience = UNHEARD;
      if (!message.pages[this.id] && this.seen && head) this.ask(); // the kernel has forgotten this view
      this.head = message;
      this.ahead = message.now - Date.now() / 1000;
      this.ticked(message, head);
      this.paint();
    } else if (message.t === "said" && !message.id) {
      this.say(message.text, true);
    } else if (message.id === this.id && message.t !== "beat") {
      const request = this.pending.get(message.to);
      this.pending.delete(message.to);
      this.answer(message, request);
    }
  }

  isPlain() {
    return JSON.stringify(this.query) === JSON.stringify(this.plain);
  }

  /** Is there less to be seen than all, whatever the order? */
  get isNarrowed() {
    return JSON.stringify({ ...this.query, sort: "", descending: "" }) !== JSON.stringify({ ...this.plain, sort: "", descending: "" });
  }

  answer(message, request) {
    if (message.ask) {
      this.say(message.ask, false, () => this.act(message.act.what, { row: message.act.row, sure: true }));
    } else {
      if (message.wrong && request?.kind === "open") this.close();
      this.say(message.text, message.wrong);
    }
  }

  say(words, wrong = false, agree = null) {
    this.notice.replaceChildren(h("span", {}, words), h("span", { class: "nbf-gap" }));
    if (agree) this.notice.append(button("nbf-quiet", "Run again", agree));
    this.notice.append(button("nbf-quiet nbf-own", agree ? "No" : "Dismiss", () => show(this.notice, false)));
    this.notice.classList.toggle("nbf-wrong", Boolean(wrong));
    show(this.notice, true);
    clearTimeout(this.fading);
    if (!wrong && !agree) this.fading = setTimeout(() => show(this.notice, false), 8000);
  }

  get isDead() {
    return Date.now() - this.heard > DEAD;
  }

  /** Does what is open stand beside the list? As in the style sheet. */
  get isWide() {
    return this.root.clientWidth >= 760;
  }

  /** The kernel's time, in seconds. */
  get now() {
    return Date.now() / 1000 + this.ahead;
  }

  beat() {
    const now = Date.now();
    for (const [n, request] of this.pending) {
      if (now - request.at < UNHEARD || request.told) continue;
      request.told = true;
      if (this.isDead) this.pending.delete(n);
      else if (request.what === "stop") this.say("The kernel is busy with a cell and does not hear the table. Press the kernel's own Stop (■): it ends the run gracefully.", true);
      else if (now - request.at > UNHEARD) this.say("The kernel is busy with a cell; it will answer when the cell has ended.");
    }
    // A question can be lost: while the page comes up, or the connection comes back.
    if (this.grid.page.n !== this.asked && this.seen && !this.isDead && now - this.askedAt > this.patience) {
      this.patience = Math.min(2 * this.patience, PATIENCE);
      this.ask();
    }
    if (this.head && now - this.spoken > SPOKEN && this.head.sentence !== this.speech.textContent) {
      this.spoken = now;
      text(this.speech, this.head.sentence);
    }
    this.paint();
  }

  // Painting: once a frame, and only what differs.

  paint() {
    if (this.frameAsked || this.gone) return;
    this.frameAsked = requestAnimationFrame(() => {
      this.frameAsked = 0;
      if (!this.head || this.gone) return;
      text(this.sentence, this.head.sentence);
      const dead = this.isDead;
      if (!dead && this.root.classList.contains("nbf-dead")) this.switch(true);
      this.root.classList.toggle("nbf-dead", dead);
      show(this.clear, this.isNarrowed);
      this.draw();
      if (dead) this.switch(false);
      if (this.acked !== this.head.n) this.send({ t: "ack", n: (this.acked = this.head.n) });
    });
  }

  /** Nothing can be asked of a kernel that is gone; what the page does by itself stays. */
  switch(on) {
    for (const node of this.root.querySelectorAll("button:not(.nbf-own), input")) node.disabled = !on;
    this.knownCauses = null; // one of its buttons is off by itself
  }

  warn(words) {
    text(this.warning, words && `⚠ ${words}`);
    show(this.warning, Boolean(words));
  }
}

// One run.

class RunView extends LiveView {
  constructor(model, el) {
    super(model, el, { text: "", flow: null, states: [], step: "", cause: null, sort: "state", descending: false });
  }

  // What there is.

  build() {
    this.opened = null; // number of the record that is open
    this.rates = [];
    this.lanes = [];
    this.stop = button("nbf-stop", "Stop", () => this.act("stop"), "slash");
    this.again = button("", "Rerun failed", () => this.act("rerun_failed"), "again");
    this.state = h("span", { class: "nbf-runstate" });
    this.title = h("span", { class: "nbf-title" });
    this.about = h("span", { class: "nbf-faint nbf-about" });
    this.tiles = new Tiles("Records by state: filters", (code) => this.filter({ states: toggled(this.query.states, code) }));
    this.figures = ["records/s", "left", "spent", "tokens", "saved"].map((word) => ({ number: h("b"), node: null, word }));
    for (const figure of this.figures) figure.node = h("div", { class: "nbf-figure" }, figure.number, h("span", { class: "nbf-faint" }, figure.word));
    this.figures[4].node.title = "by what was remembered";
    this.spark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.spark.setAttribute("class", "nbf-spark");
    this.spark.setAttribute("viewBox", "0 0 60 20");
    this.spark.setAttribute("preserveAspectRatio", "none");
    this.spark.setAttribute("aria-hidden", "true");
    this.spark.append(document.createElementNS("http://www.w3.org/2000/svg", "polyline"));
    this.figures[0].node.append(this.spark);
    this.bar = new Bar("nbf-bar");
    this.lanebox = h("div", { class: "nbf-lanes", role: "group", "aria-label": "Flows and their steps" });
    this.causes = h("div", { class: "nbf-causes", role: "group", "aria-label": "Failures by cause: filters" });
    this.shown = button("nbf-quiet", "Rerun these", () => this.act("rerun_shown"), "again");
    this.csv = button("nbf-quiet", "Failures as CSV", () => this.request("csv"));
    this.grid = new Grid(this, {
      id: this.id, label: "Records", columns: COLUMNS, most: LIST, open: (data) => this.open(data[0]), isOpen: (data) => data[0] === this.opened,
      fill: (cells, data) => this.fillRow(cells, data), refresh: (cells, data) => text(cells[5], duration(this.took(data))),
    });
    this.grids = [this.grid];
    this.detail = h("section", { class: "nbf-detail", "aria-label": "One record", hidden: true });
    this.frame([this.state, this.title, this.about, h("span", { class: "nbf-gap" }), this.again, this.stop],
      h("div", { class: "nbf-numbers" }, this.tiles.node, ...this.figures.map((figure) => figure.node)),
      this.bar.node, this.lanebox,
      h("div", { class: "nbf-toolbar" }, this.searchbox("Search records and errors"), this.causes, h("div", { class: "nbf-actions" }, this.clear, this.shown, this.csv)),
      h("div", { class: "nbf-split" }, this.grid.node, this.detail));
  }

  question() {
    return { ...this.query, states: this.query.states.map((code) => STATES[code].name) };
  }

  sort(column) {
    super.sort(column, ["seconds", "attempts", "cost"].includes(column));
  }

  escape() {
    if (this.opened !== null) this.close();
  }

  ticked(message, before) {
    if (before && before.state !== message.state && this.opened !== null) this.request("open", { row: this.opened });
    if (message.state === "RUNNING" && message.rate != null) this.rates = [...this.rates.slice(-39), message.rate];
  }

  answer(message, request) {
    if (message.t === "detail") {
      if (message.row === this.opened) this.drawDetail(message);
    } else if (message.t === "csv") {
      save(message.name, message.text);
      this.say("The failures are in your downloads.");
    } else super.answer(message, request);
  }

  draw() {
    this.drawHead();
    this.drawTiles();
    this.drawLanes();
    this.drawCauses();
    this.root.classList.toggle("nbf-oneflow", this.head.flows.length < 2);
    this.grid.draw(this.query, this.head.rows ? "No record fits the filter." : this.head.state === "RUNNING" ? "No records yet." : "No records.", this.opened !== null && this.isWide);
  }

  drawHead() {
    const { head } = this, running = head.state === "RUNNING", dead = this.isDead;
    if (this.state.dataset.state !== head.state) {
      this.state.dataset.state = head.state;
      this.state.replaceChildren(chip(RUN_STATES[head.state]));
    }
    text(this.title, head.event);
    const took = duration((running && !dead ? this.now : head.ended) - head.began - head.idle) || "0 s";
    text(this.about, `run ${head.run} · ${took}`);
    show(this.stop, running && !head.readonly);
    show(this.again, !running && head.again > 0 && !head.readonly);
    this.stop.disabled = dead || head.stopping;
    text(this.stop.lastChild, head.stopping ? "Stopping" : "Stop");
    this.again.disabled = dead;
    text(this.again.lastChild, `Rerun ${whole(head.again)} ${head.again === head.failed ? "failed" : "unfinished"}`);
    show(this.csv, head.failed > 0);
    this.csv.disabled = dead;
    const [perSecond, left, ...money] = this.figures;
    text(perSecond.number, rate(head.rate));
    text(left.number, running ? (head.left == null ? "–" : duration(head.left) || "0 s") : took);
    text(left.node.lastChild, running ? "left" : "took");
    [head.cost, head.tokens, head.saved].forEach((value, at) => {
      show(money[at].node, Boolean(value));
      text(money[at].number, value || "");
    });
    this.root.classList.toggle("nbf-costs", head.costs);
    show(this.spark, running && this.rates.length > 4);
    if (this.rates.length > 4) {
      const top = Math.max(...this.rates) || 1;
      attr(this.spark.firstChild, "points", this.rates.map((value, at) => `${((60 * at) / (this.rates.length - 1)).toFixed(1)},${(18 - (16 * value) / top).toFixed(1)}`).join(" "));
    }
    this.root.classList.toggle("nbf-running", running && !dead);
    this.warn(dead ? `The kernel does not answer: this is how the run stood. What is done is on disk: nf.open_run("${head.run}") shows it.` : head.remarks.join(" "));
    const filtered = !this.isPlain() && this.grid.page.total !== head.rows;
    const noun = head.flows.length > 1 ? "row" : "record";
    text(this.count, filtered ? `${whole(this.grid.page.total)} of ${several(head.rows, noun)}` : head.flows.length > 1 ? `${several(head.records, "record")} in ${head.flows.length} flows` : several(head.rows, noun));
    show(this.shown, this.isNarrowed && !running && !head.readonly && this.grid.page.total > 0);
    this.shown.disabled = dead;
    text(this.shown.lastChild, `Rerun ${this.grid.page.total === 1 ? "this one" : `these ${whole(this.grid.page.total)}`}`);
  }

  drawTiles() {
    const { counts, rows } = this.head;
    const listed = BAR.reduce((sum, code) => sum + (counts[code] ?? 0), 0);
    const numbers = { ...counts, [QUEUED]: rows - listed };
    this.tiles.draw(TILES.map((code) => [code, STATES[code], numbers[code] ?? 0, ALWAYS.has(code)]), this.query.states);
    const label = [...BAR, QUEUED].filter((code) => numbers[code]).map((code) => `${whole(numbers[code])} ${STATES[code].word}`).join(", ");
    this.bar.draw(BAR.map((code) => [STATES[code].css, counts[code] ?? 0]), rows, label || "nothing yet");
  }

  drawLanes() {
    const { flows, rows } = this.head, total = flows.length ? rows / flows.length : 0;
    flows.forEach(([name, counts, wholes, steps, why], flow) => {
      let lane = this.lanes[flow];
      if (!lane) {
        const title = h("button", { type: "button", class: "nbf-lane-name", "aria-pressed": "false", title: `Show ${name} only`, onclick: () => this.filter({ flow: this.query.flow === flow ? null : flow, step: "" }) }, name);
        lane = { title, track: h("div", { class: "nbf-track" }), sum: h("div", { class: "nbf-sum" }), trouble: h("div", { class: "nbf-sum nbf-s-failed" }), why: h("div", { class: "nbf-why" }), steps: new Map() };
        lane.node = h("div", { class: "nbf-lane" }, title, lane.track, lane.sum, lane.trouble, lane.why);
        this.lanebox.append(lane.node);
        this.lanes[flow] = lane;
      }
      attr(lane.title, "aria-pressed", this.query.flow === flow);
      const ended = BAR.filter((code) => code !== RUNNING && code !== RETRYING).reduce((sum, code) => sum + (counts[code] ?? 0), 0);
      const broken = (counts[FAILED] ?? 0) + (counts[TIMED_OUT] ?? 0);
      text(lane.sum, `${whole(ended)} / ${whole(total)}`);
      text(lane.trouble, broken ? `${whole(broken)} failed` : "");
      text(lane.why, why ? `Ran because ${why}` : "");
      show(lane.why, Boolean(why));
      // A flow whose steps nobody has met yet, or that calls none, is one bar.
      const parts = steps.length ? steps : [["", counts]];
      for (const [step, ends, cost] of parts) this.drawStep(lane, flow, step, ends, step ? wholes : 0, total, cost);
      for (const [step, part] of lane.steps) show(part.node, parts.some(([known]) => known === step));
    });
  }

  drawStep(lane, flow, step, counts, wholes, total, cost) {
    let part = lane.steps.get(step);
    if (!part) {
      part = { bar: new Bar("nbf-stepbar"), word: h("span", {}), cost: h("span", {}), stopped: h("button", { type: "button", class: "nbf-stopped nbf-s-failed", "aria-pressed": "false", onclick: () => this.filter(this.query.step === step && this.query.flow === flow ? { step: "", flow: null } : { step, flow }) }) };
      part.node = h("div", { class: "nbf-step" }, part.bar.node, h("div", { class: "nbf-steplabel" }, h("span", { class: "nbf-stepname", title: step }, step), part.word, part.stopped, part.cost));
      lane.track.append(part.node);
      lane.steps.set(step, part);
    }
    const of = (code) => counts[code] ?? 0;
    const cached = of(CACHED) + wholes, done = of(COMPLETED) + cached;
    const stopped = of(FAILED) + of(TIMED_OUT) + of(RETRYING) + of(CANCELLED) + of(INTERRUPTED);
    part.bar.draw([[STATES[COMPLETED].css, of(COMPLETED)], [STATES[CACHED].css, cached], [STATES[RETRYING].css, of(RETRYING) + of(RUNNING)], [STATES[FAILED].css, of(FAILED) + of(TIMED_OUT)], [STATES[CANCELLED].css, of(CANCELLED) + of(INTERRUPTED)]],
      total, `${step || "flow"}: ${whole(done)} of ${whole(total)} done, ${whole(stopped)} stopped here`);
    text(part.word, step ? whole(done) : "");
    text(part.cost, cost || "");
    show(part.stopped, Boolean(step) && stopped > 0);
    text(part.stopped, `${whole(stopped)} ${of(RETRYING) && !(of(FAILED) + of(TIMED_OUT)) ? "trying again" : "stopped"}`);
    attr(part.stopped, "aria-label", `Show the ${whole(stopped)} records that stopped at ${step}`);
    attr(part.stopped, "aria-pressed", this.query.step === step && this.query.flow === flow);
  }

  drawCauses() {
    const { causes, kinds } = this.head, wanted = JSON.stringify([causes, kinds, this.query.cause, this.moreCauses]);
    if (wanted === this.knownCauses) return;
    this.knownCauses = wanted;
    const shown = this.moreCauses ? causes : causes.slice(0, 4);
    const focus = this.causes.contains(document.activeElement) ? document.activeElement.dataset.cause : null;
    // Told apart by no more than it takes: step, flow, message. NonRetriableError says nothing, its message does.
    const alike = ([, step, error, , , flow], same) => causes.filter((other) => other[1] === step && other[2] === error && (other[5] === flow) === same).length;
    const place = (cause) => ` at ${cause[1]}${alike(cause, false) ? ` in ${cause[5]}` : ""}${alike(cause, true) > 1 || cause[2] === "NonRetriableError" ? `: ${cause[3]}` : ""}`;
    this.causes.replaceChildren(...shown.map((cause) => {
      const [number, step, error, message, records] = cause;
      return h("button", { type: "button", class: "nbf-pill", "data-cause": number, "aria-pressed": String(this.query.cause === number), title: `${error} at ${step}: ${message}`, onclick: () => this.filter({ cause: this.query.cause === number ? null : number }) },
        h("b", {}, whole(records)), ` ${error}`, h("span", { class: "nbf-faint" }, place(cause)));
    }));
    const more = kinds - shown.length;
    if (more > 0) this.causes.append(h("button", { type: "button", class: "nbf-pill", disabled: causes.length <= shown.length, onclick: () => { this.moreCauses = true; this.paint(); } }, several(more, "more cause")));
    if (focus !== null) this.causes.querySelector(`[data-cause="${focus}"]`)?.focus();
  }

  took([, , , state, , , seconds]) {
    const live = state === RUNNING || state === RETRYING || state === WAITING;
    return live ? this.now - this.head.began - seconds : state === QUEUED ? 0 : seconds;
  }

  fillRow(cells, [, key, flow, state, track, attempts, , cost, message]) {
    cells[0].replaceChildren(chip(STATES[state]));
    text(cells[1], key);
    cells[1].title = key;
    text(cells[2], this.head.flows[flow]?.[0] ?? "");
    cells[3].replaceChildren(this.drawTrack(state, track));
    text(cells[4], attempts ? String(attempts) : "");
    text(cells[6], cost);
    text(cells[7], message);
    cells[7].title = message;
    return STATES[state].css;
  }

  drawTrack(state, track) {
    const words = [];
    let next = state === RUNNING;
    const parts = [...(track || "-")].map((letter) => {
      let code = letter === "-" ? null : Number(letter);
      if (code === null && state === CACHED) code = CACHED;
      if (code === null && state === COMPLETED && !track) code = COMPLETED;
      if (code === null && next) [code, next] = [RUNNING, false];
      if (code === null && !track && state !== QUEUED) code = state;
      words.push(code === null ? "not called" : STATES[code].word);
      return h("span", { class: code === null ? "" : STATES[code].css });
    });
    return h("span", { class: "nbf-trackbar", role: "img", "aria-label": `steps: ${words.join(", ")}` }, ...parts);
  }

  // One record.

  open(number) {
    this.opened = number;
    this.root.classList.add("nbf-opened");
    show(this.detail, true);
    this.detail.replaceChildren(h("div", { class: "nbf-faint" }, "Loading ..."));
    this.request("open", { row: number });
    this.paint();
  }

  close() {
    this.opened = null;
    this.root.classList.remove("nbf-opened");
    show(this.detail, false);
    this.grid.scroll.focus({ preventScroll: true });
    this.paint();
  }

  drawDetail(detail) {
    const { readonly, state } = this.head, quiet = (label, act, css = "") => h("button", { type: "button", class: `nbf-button nbf-quiet ${css}`, onclick: act }, label);
    const { trouble } = detail;
    this.detail.replaceChildren(...[
      h("div", { class: "nbf-detailhead" },
        h("div", { class: "nbf-detailtitle" }, h("b", { class: "nbf-mono nbf-key", title: detail.key }, detail.key), h("span", { class: "nbf-faint" }, detail.flow), chip(STATES[detail.state])),
        h("span", { class: "nbf-gap" }),
        quiet("Copy key", () => copy(detail.key).then(() => this.say("The key is copied."), (error) => this.say(error.message, true)), "nbf-own"),
        readonly || state === "RUNNING" ? null : quiet("Rerun this record", () => this.act("rerun_one", { row: detail.row })),
        h("button", { type: "button", class: "nbf-button nbf-quiet nbf-close nbf-own", "aria-label": "Close", onclick: () => this.close() }, icon("cross"))),
      detail.why ? h("div", { class: "nbf-why" }, detail.why) : null,
      trouble ? h("div", { class: "nbf-trouble", role: "group", "aria-label": "What went wrong" },
        h("div", { class: "nbf-error nbf-s-failed" }, `${trouble.error}${trouble.step ? ` at ${trouble.step}` : ""}`),
        trouble.message ? h("pre", { tabindex: "0", class: "nbf-code" }, trouble.message) : null,
        trouble.traceback ? h("pre", { tabindex: "0", class: "nbf-code", "aria-label": "Traceback, your own frames" }, trouble.traceback) : null) : null,
      this.drawWaterfall(detail),
      ...[["Record", detail.record], ["Output", detail.output]].map(([word, value]) => (value == null ? null : h("details", { open: word === "Record" || detail.steps.length === 0 }, h("summary", {}, word), h("pre", { tabindex: "0", class: "nbf-code" }, value)))),
    ].filter(Boolean));
  }

  drawWaterfall(detail) {
    if (!detail.steps.length) return h("div", { class: "nbf-faint" }, detail.state === CACHED ? "The whole flow was remembered: nothing ran." : "No step was called.");
    const tries = detail.steps.flatMap((step) => step.attempts);
    const begun = Math.min(...tries.map((one) => one.at - one.seconds)), ended = Math.max(...tries.map((one) => one.at + one.wait));
    const span = Math.max(ended - begun, 1e-6), place = (from, to) => `left:${(100 * (from - begun)) / span}%;width:${(100 * (to - from)) / span}%`;
    return h("div", { class: "nbf-waterfall", role: "group", "aria-label": "Steps, attempts and waits" }, ...detail.steps.map((step) => {
      const made = step.attempts.filter((one) => one.n > 0), seconds = made.reduce((sum, one) => sum + one.seconds, 0);
      const said = `${step.step}: ${STATES[step.state].word}${made.length > 1 ? `, ${made.length} attempts` : ""}${seconds ? `, ${duration(seconds)}` : ""}`;
      const bars = step.attempts.flatMap((one) => [
        h("span", { class: `nbf-try ${STATES[one.state === RETRYING ? FAILED : one.state].css}`, style: place(one.at - one.seconds, one.at) }),
        one.wait ? h("span", { class: "nbf-pause", style: place(one.at, one.at + one.wait) }) : null,
      ]);
      return h("details", { class: "nbf-wstep", open: step.state === FAILED || step.state === TIMED_OUT },
        h("summary", { "aria-label": said }, h("span", { class: STATES[step.state].css }, mark(step.state)), h("span", { class: "nbf-wname" }, step.step), h("span", { class: "nbf-wbars" }, ...bars.filter(Boolean)), this.head.costs ? h("span", { class: "nbf-wtime" }, step.cost) : null, h("span", { class: "nbf-wtime" }, duration(seconds) || STATES[step.state].word)),
        step.used ? h("div", { class: "nbf-attempt nbf-faint" }, step.used) : null,
        step.why ? h("div", { class: "nbf-why" }, step.why) : null,
        ...made.filter((one) => one.trouble || made.length > 1).map((one) => h("div", { class: "nbf-attempt" }, h("span", { class: "nbf-faint" }, `attempt ${one.n}, ${duration(one.seconds) || "0 s"}${one.wait ? `, then waited ${duration(one.wait)}` : ""}`), one.trouble ? h("span", { class: "nbf-s-failed" }, ` ${one.trouble}`) : null)),
        step.inputs == null ? null : h("div", { class: "nbf-io" }, h("span", { class: "nbf-faint" }, "input"), h("pre", { tabindex: "0", class: "nbf-code" }, step.inputs)),
        step.output == null ? null : h("div", { class: "nbf-io" }, h("span", { class: "nbf-faint" }, "output"), h("pre", { tabindex: "0", class: "nbf-code" }, step.output)));
    }));
  }
}

// All runs: one of them opened below the list, or two of them compared.

/** The part of a model that belongs to one run. */
function partOf(model, run) {
  const heard = new Map();
  return {
    get: () => "", // no static picture of its own
    send: (message) => model.send({ ...message, of: run }),
    on: (event, act) => {
      heard.set(act, (message) => { if (message.of === run) act(message); });
      model.on(event, heard.get(act));
    },
    off: (event, act) => model.off(event, heard.get(act)),
  };
}

function moment(seconds) {
  const at = new Date(seconds * 1000), two = (number) => String(number).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`, clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return at.toDateString() === new Date().toDateString() ? `today ${clock}` : `${day} ${clock}`;
}

class HistoryView extends LiveView {
  constructor(model, el) {
    super(model, el, { text: "", event: null, states: [], sort: "started", descending: true });
  }

  build() {
    this.picked = []; // runs to compare
    this.opened = null; // the run that is open
    this.pair = null; // the runs that are compared
    this.tiles = new Tiles("Runs by state: filters", (state) => this.filter({ states: toggled(this.query.states, state) }));
    this.events = h("div", { class: "nbf-causes", role: "group", "aria-label": "Events: filters" });
    this.compares = button("nbf-quiet", "", () => this.compare(this.picked));
    this.grid = new Grid(this, {
      id: this.id, css: "nbf-runs", label: "Runs. Enter opens one, C picks it for a comparison", columns: RUNS, most: SHORT,
      open: ([run]) => this.open(run), isOpen: ([run]) => run === this.opened, keys: { c: ([run]) => this.pick(run) },
      fill: (cells, data) => this.fillRow(cells, data),
      refresh: (cells, [run, , state, started, ended, , , , , , idle]) => {
        cells[0].firstChild.checked = this.picked.includes(run);
        text(cells[4], duration((state === "RUNNING" && !this.isDead ? this.now : ended) - started - idle) || "0 s");
      },
    });
    this.changes = new Grid({ ask: () => this.askChanges(), paint: () => this.paint() }, {
      id: `${this.id}-c`, css: "nbf-changes", label: "Differences", columns: CHANGES, most: SHORT + 2,
      open: (data) => this.openChange(data), isOpen: ([number]) => number === this.change,
      fill: (cells, [, ...texts]) => texts.forEach((value, at) => { text(cells[at], value); cells[at].title = value; }),
    });
    this.grids = [this.grid, this.changes];
    this.kinds = h("div", { class: "nbf-causes", role: "group", "aria-label": "Fields that differ: filters" });
    this.told = h("div", { class: "nbf-sentence" });
    this.pairname = h("span", { class: "nbf-detailtitle" });
    this.values = h("section", { class: "nbf-detail", "aria-label": "One difference", hidden: true });
    this.comparison = h("section", { class: "nbf-panel", "aria-label": "Two runs compared", hidden: true },
      h("div", { class: "nbf-panelhead" }, this.pairname, h("span", { class: "nbf-gap" }), this.closer()),
      this.told, h("div", { class: "nbf-toolbar" }, this.kinds), h("div", { class: "nbf-split" }, this.changes.node, this.values));
    this.back = button("nbf-quiet", "Compare with the run before", () => this.compare([this.opened]));
    this.place = h("div", { class: "nbf-nest" });
    this.panel = h("section", { class: "nbf-panel", "aria-label": "One run", hidden: true }, this.place);
    this.store = h("span", { class: "nbf-faint nbf-about" });
    this.frame([h("span", { class: "nbf-title" }, "Runs"), this.store],
      h("div", { class: "nbf-numbers" }, this.tiles.node),
      h("div", { class: "nbf-toolbar" }, this.searchbox("Search runs and events"), this.events, h("div", { class: "nbf-actions" }, this.clear, this.compares)),
      h("div", { class: "nbf-split" }, this.grid.node), this.panel, this.comparison);
  }

  closer() {
    return h("button", { type: "button", class: "nbf-button nbf-quiet nbf-close nbf-own", "aria-label": "Close", onclick: () => this.close() }, icon("cross"));
  }

  remove() {
    this.child?.remove();
    super.remove();
  }

  sort(column) {
    super.sort(column, column !== "state" && column !== "event");
  }

  escape() {
    if (this.change != null) this.openChange(null);
    else if (this.opened || this.pair) this.close();
  }

  take(message) {
    if (message.of == null) super.take(message);
    else this.heard = Date.now(); // of a run that is open, whose own view hears it too
  }

  ticked(message, before) {
    if (!before && message.opens) this.open(message.opens, false);
  }

  answer(message, request) {
    if (message.t === "compared") {
      if (request?.runs === this.pair) this.drawComparison(message);
    } else {
      if (message.wrong && request?.kind === "compare") this.close();
      super.answer(message, request);
    }
  }

  // The list.

  draw() {
    const { head, query } = this, dead = this.isDead;
    text(this.store, head.store);
    this.warn(dead ? "The kernel does not answer: this is how the runs stood. They are on disk: nf.runs() lists them." : "");
    this.root.classList.toggle("nbf-running", !dead && Boolean(head.counts.RUNNING));
    this.root.classList.toggle("nbf-costs", head.costs);
    this.tiles.draw(Object.entries(RUN_STATES).map(([state, look]) => [state, look, head.counts[state] ?? 0, true]), query.states);
    this.drawEvents();
    const { total } = this.grid.page;
    text(this.count, `${total !== head.rows ? `${whole(total)} of ` : ""}${several(head.rows, "run")}`);
    text(this.compares.lastChild, this.picked.length === 2 ? "Compare these two" : this.picked.length ? "Compare with the run before" : "Compare: pick two runs");
    this.compares.disabled = dead || !this.picked.length;
    this.grid.draw(query, head.rows ? "No run fits the filter." : "No runs yet. nf.send(...) makes one.");
    if (this.pair) this.changes.draw({}, "Nothing came out differently.", this.change != null && this.isWide);
  }

  drawEvents() {
    const { events, kinds } = this.head, wanted = JSON.stringify([events, kinds, this.query.event]);
    if (wanted === this.knownEvents) return;
    this.knownEvents = wanted;
    show(this.events, kinds > 1);
    const focus = this.events.contains(document.activeElement) ? document.activeElement.dataset.event : null;
    this.events.replaceChildren(...events.map(([short, event, number]) =>
      h("button", { type: "button", class: "nbf-pill nbf-plain", "data-event": event, "aria-pressed": String(this.query.event === event), onclick: () => this.filter({ event: this.query.event === event ? null : event }) }, h("b", {}, whole(number)), ` ${short}`)));
    if (kinds > events.length) this.events.append(h("span", { class: "nbf-faint" }, `and ${whole(kinds - events.length)} more`));
    if (focus !== null) [...this.events.children].find((node) => node.dataset.event === focus)?.focus();
  }

  fillRow(cells, [run, event, state, started, , records, rows, counts, failed, cost]) {
    const look = RUN_STATES[state];
    if (!cells[0].firstChild) cells[0].append(h("input", { type: "checkbox", class: "nbf-pick", tabindex: "-1", onclick: (event_) => event_.stopPropagation(), onchange: (event_) => this.pick(event_.target.dataset.run) }));
    attr(cells[0].firstChild, "data-run", run);
    attr(cells[0].firstChild, "aria-label", `Pick run ${run} for a comparison`);
    cells[1].replaceChildren(chip(look));
    text(cells[2], event);
    cells[2].title = event;
    text(cells[3], moment(started));
    cells[3].title = new Date(started * 1000).toLocaleString();
    text(cells[5], whole(records));
    const bar = new Bar("nbf-outcome");
    const label = BAR.filter((code) => counts[code]).map((code) => `${whole(counts[code])} ${STATES[code].word}`).join(", ");
    bar.draw(BAR.filter((code) => counts[code]).map((code) => [STATES[code].css, counts[code]]), rows, label || "nothing yet");
    bar.node.title = label;
    cells[6].replaceChildren(bar.node);
    text(cells[7], failed ? whole(failed) : "");
    text(cells[8], cost);
    text(cells[9], run);
    return look.css;
  }

  pick(run) {
    this.picked = toggled(this.picked, run).slice(-2);
    this.paint();
  }

  // One run, or two.

  open(run, moves = true) {
    if (this.opened === run) return;
    this.close(false);
    this.opened = run;
    show(this.panel, true);
    this.child = new RunView(partOf(this.model, run), this.place);
    this.child.root.firstChild.append(this.back, this.closer());
    this.paint();
    if (moves) this.panel.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  close(focus = true) {
    this.child?.remove();
    this.child = this.opened = this.pair = null;
    this.openChange(null);
    show(this.panel, false);
    show(this.comparison, false);
    if (focus) this.grid.scroll.focus({ preventScroll: true });
    this.paint();
  }

  compare(runs) {
    this.close(false);
    this.pair = runs;
    this.kind = this.askedChanges = null;
    this.changes.page = { total: 0, offset: 0, rows: [] };
    this.changes.top();
    this.pairname.replaceChildren(h("span", {}, "Comparing ..."));
    text(this.told, "");
    this.kinds.replaceChildren();
    show(this.comparison, true);
    this.askChanges(true);
    this.paint();
  }

  askChanges(anew = false) {
    if (!this.pair) return;
    const asks = { only: this.kind, ...this.changes.wanted }, known = JSON.stringify(asks);
    if (known === this.askedChanges) return;
    this.askedChanges = known;
    this.request("compare", { runs: this.pair, ...asks, anew });
  }

  drawComparison(told) {
    const [before, after] = told.runs;
    this.changes.page = told;
    this.pairname.replaceChildren(h("b", {}, "Compared"), h("span", { class: "nbf-mono" }, before), h("span", { class: "nbf-faint" }, "before,"), h("span", { class: "nbf-mono" }, after), h("span", { class: "nbf-faint" }, "after"));
    text(this.told, told.differences ? `${whole(told.changed)} of ${several(told.records, "record")} came out differently, in ${told.more ? "more than " : ""}${several(told.differences, "place")}.` : `All ${several(told.records, "record")} came out the same.`);
    this.kinds.replaceChildren(...told.kinds.map(([flow, field, number]) => {
      const kind = [flow, field], pressed = JSON.stringify(kind) === JSON.stringify(this.kind);
      return h("button", { type: "button", class: "nbf-pill nbf-plain", "aria-pressed": String(pressed), onclick: () => { this.kind = pressed ? null : kind; this.changes.top(); this.openChange(null); this.askChanges(); } },
        h("b", {}, whole(number)), flow ? ` ${field}` : " in one run only", flow && flow !== field ? h("span", { class: "nbf-faint" }, ` of ${flow}`) : null);
    }));
    this.paint();
  }

  openChange(data) {
    this.change = data && data[0];
    show(this.values, Boolean(data));
    this.comparison.classList.toggle("nbf-opened", Boolean(data));
    if (data) {
      const [, record, flow, field, before, after] = data;
      const value = (word, told) => [h("div", { class: "nbf-faint" }, word), h("pre", { tabindex: "0", class: "nbf-code", "aria-label": word }, told)];
      this.values.replaceChildren(h("div", { class: "nbf-detailhead" }, h("div", { class: "nbf-detailtitle" }, h("b", { class: "nbf-mono" }, record), h("span", { class: "nbf-faint" }, flow && flow !== field ? `${field} of ${flow}` : field)), h("span", { class: "nbf-gap" }),
        h("button", { type: "button", class: "nbf-button nbf-quiet nbf-close nbf-own", "aria-label": "Close", onclick: () => this.openChange(null) }, icon("cross"))), ...value("before", before), ...value("after", after));
    }
    this.paint();
  }
}

function render({ model, el }) {
  const view = new (model.get("kind") === "history" ? HistoryView : RunView)(model, el);
  return () => view.remove();
}

export default { render };
