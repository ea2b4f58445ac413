/** What pages and the kernel say to each other, and what the parts of a page expect of one another. */

// The widget.

/** A state as the kernel hands it over: its name, its word, and the icon that draws it. */
export type ToldLook = [name: string, word: string, icon: string, brief?: string];

export interface Looks {
  /** States of records and calls; a state travels as its place in this list. */
  states: ToldLook[];
  /** States of runs, in the order in which they are shown. */
  runs: ToldLook[];
}

export interface Traits {
  name: string;
  kind: "run" | "history";
  looks: Looks;
}

export type Listener = (message: FromKernel) => void;

/** The part of anywidget's model that pages use. */
export interface Model {
  get<Name extends keyof Traits>(name: Name): Traits[Name];
  send(message: object): void;
  on(event: "msg:custom", act: Listener): void;
  off(event: "msg:custom", act: Listener): void;
}

export interface Context {
  model: Model;
  el: HTMLElement;
}

/** How a state is shown. */
export interface Look {
  name: string;
  word: string;
  icon: string;
  /** The word for a narrow column. */
  brief: string;
  css: string;
}

// The parts of a page.

export type Attribute = string | number | boolean | null | undefined;

/** Attributes of an element; what begins with `on` is a listener. */
export interface Props {
  [name: string]: Attribute | ((event: never) => void);
  onclick?: (event: MouseEvent) => void;
  onchange?: (event: Event) => void;
  oninput?: (event: Event) => void;
}

export type Child = Node | string | null | undefined;

/** The rows that a list knows, of all that there are. */
export interface Page<Row> {
  /** The question that it answers. */
  n: number;
  total: number;
  offset: number;
  rows: Row[];
}

/** Where a list is scrolled to. `height` is 0 until the page is laid out. */
export interface Scroll {
  top: number;
  height: number;
  total: number;
  /** Rows that are shown at most. */
  most: number;
}

/** The rows that are seen: the first one (and how much of it is scrolled away), and how many. */
export interface Seen {
  first: number;
  exact: number;
  visible: number;
}

/** A column: what it is sorted by, if it can be, and its title. */
export type Column = [sort: string | null, title: string];

export interface GridOptions {
  id: string;
  css?: string;
  label: string;
  columns: Column[];
  most: number;
  /** Keys that mean something to the owner. */
  keys?: string[];
}

/** What a grid needs of the view that it belongs to. */
export interface RowOwner<Row> {
  readonly isDead: boolean;
  /** Ask the kernel for the rows that are seen. */
  ask(): void;
  paint(): void;
  sort(column: string): void;
  /** Fill the cells of a row; returns the class of the row. */
  fillRow(cells: HTMLElement[], row: Row): string;
  /** Update what changes by itself, such as a duration. */
  refreshRow(cells: HTMLElement[], row: Row): void;
  openRow(row: Row): void;
  isOpen(row: Row): boolean;
  pressRow(key: string, row: Row): void;
}

/** A filter: `key` is what it is known by. */
export interface Pill {
  key: string | number;
  isPressed: boolean;
  css?: string;
  title?: string;
  act: () => void;
  content: Child[];
}

/** What a comparison needs of the history that it is shown in. */
export interface ComparisonHost {
  readonly id: string;
  readonly isDead: boolean;
  readonly isWide: boolean;
  paint(): void;
  close(): void;
  request(kind: string, more: Request): void;
}

/** What a key means in a review. */
export type ReviewAction =
  | { accept: true }
  | { ask: "undo" }
  | { choose: number }
  | { find: true }
  | { first: true }
  | { go: number }
  | { leave: true };

// Questions of a page.

export interface Query {
  text: string;
  sort: string;
  descending: boolean;
}

export interface RunQuery extends Query {
  flow: number | null;
  states: number[];
  step: string;
  cause: number | null;
  answer: string | null;
}

export interface HistoryQuery extends Query {
  event: string | null;
  states: string[];
}

/** What was asked of the kernel beside rows. */
export interface Request {
  what?: string;
  row?: number;
  sure?: boolean;
  runs?: string[];
  [option: string]: unknown;
}

export interface Pending extends Request {
  kind: string;
  at: number;
  isTold?: boolean;
}

// What the kernel says.

/** Numbers by the code of a state. */
export type Counts = Record<number, number>;

export type Row = [
  number: number,
  key: string,
  flow: number,
  state: number,
  track: string,
  attempts: number,
  seconds: number,
  cost: string,
  message: string,
  words: string | null,
  label: string,
  rest: string,
];
export type RunLine = [
  run: string,
  event: string,
  state: string,
  started: number,
  ended: number,
  records: number,
  rows: number,
  counts: Counts,
  failed: number,
  cost: string,
  idle: number,
];
export type Change = [
  number: number,
  record: string,
  flow: string,
  field: string,
  before: string,
  after: string,
];
export type FlowLane = [
  name: string,
  counts: Counts,
  wholes: number,
  steps: StepLane[],
  why: string,
];
export type StepLane = [step: string, counts: Counts, cost: string];
export type Cause = [
  number: number,
  error: string,
  message: string,
  records: number,
  /** How many more have messages like it, where messages differ at all. */
  alike: number,
  flows: string[],
  steps: string[],
];

/** How many records have an answer with this label. */
export type Label = [number: number, flow: number, label: string];
/** The fields of a record or an answer; a value without fields is one without a name. */
export type Fields = [name: string, text: string][];

/** What every message may have: the run that it is of, the view it is for, the request it answers. */
export interface Addressed {
  of?: string;
  id?: string;
  to?: number;
}

export interface Tick extends Addressed {
  t: "tick";
  n: number;
  now: number;
  readonly: boolean;
  sentence: string;
  rows: number;
  costs: boolean;
  kinds: number;
  /** The rows of each view, by its id. */
  pages: Record<string, Page<unknown>>;
}

export interface RunTick extends Tick {
  run: string;
  event: string;
  state: string;
  stopping: boolean;
  began: number;
  ended: number;
  idle: number;
  records: number;
  counts: Counts;
  rate: number | null;
  left: number | null;
  cost: string;
  tokens: string;
  saved: string;
  again: number;
  failed: number;
  flows: FlowLane[];
  causes: Cause[];
  answers: Label[];
  labels: number;
  /** Whether records or answers have not been read yet, for what needs all of them. */
  unread: boolean;
  remarks: string[];
}

export interface HistoryTick extends Tick {
  store: string;
  counts: Record<string, number>;
  events: [short: string, event: string, number: number][];
  opens: string | null;
}

export interface Beat extends Addressed {
  t: "beat";
}

export interface Said extends Addressed {
  t: "said";
  text: string;
  wrong?: boolean;
}

/** A question before something is done: `act` says it again, with consent. */
export interface Asked extends Addressed {
  t: "said";
  ask: string;
  act: { what: string; row?: number };
}

export interface Attempt {
  n: number;
  state: number;
  at: number;
  seconds: number;
  wait: number;
  waited: number;
  trouble: string;
}

/** What an attempt printed and logged. */
export interface Printout {
  n: number;
  /** Of a call that was remembered, when it printed. */
  old: string;
  parts: [stream: string, text: string][];
}

export interface Step {
  step: string;
  state: number;
  why: string;
  cost: string;
  used: string;
  attempts: Attempt[];
  printed: Printout[];
  inputs: Fields | null;
  output: Fields | null;
}

export interface Trouble {
  step: string | null;
  error: string;
  message: string;
  traceback: string;
}

/** What a record asks a person. */
export interface Question {
  what: string;
  choices: string[];
  show: Fields | null;
  until: string;
}

export interface Detail extends Addressed {
  t: "detail";
  row: number;
  key: string;
  flow: string;
  state: number;
  why: string;
  trouble: Trouble | null;
  asks: Question | null;
  printed: Printout[];
  steps: Step[];
  record: Fields | null;
  output: Fields | null;
}

export interface Csv extends Addressed {
  t: "csv";
  name: string;
  text: string;
}

export interface Compared extends Addressed {
  t: "compared";
  runs: [before: string, after: string];
  total: number;
  offset: number;
  rows: Change[];
  differences: number;
  more: boolean;
  changed: number;
  records: number;
  kinds: [flow: string, field: string, number: number][];
}

export type Answer = Said | Asked | Detail | Csv | Compared;

// What the kernel says of a review.

export interface Case {
  key: string;
  fields: [name: string, text: string][];
  label: string | null;
  confidence: number | null;
  reason: string | null;
  missing: string;
  decision: [label: string, by: string, at: number] | null;
}

/** The record that a review is at, and how far it is. */
export interface Shown {
  t: "show";
  view: string;
  n: number;
  said: string;
  column: string;
  choices: [label: string, about: string][];
  by: string;
  /** Where the records come from, if they are a sample. */
  about: string;
  at: number;
  total: number;
  done: number;
  case: Case | null;
}

export interface Refused {
  t: "wrong";
  view: string;
  n: number;
  message: string;
}

export type FromKernel = Tick | Beat | Answer | Shown | Refused;
