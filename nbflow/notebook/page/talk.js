// What a view and the kernel owe each other: questions that wait for an answer, and how long ago the kernel was heard.
// Nothing here knows of elements or of a clock: times are arguments, in milliseconds.

/** @import { Answer, Page, Pending, Request, Tick } from "./types.js" */

const DEAD = 9000; // after which a silent kernel counts as gone
const UNHEARD = 1500; // after which a question counts as not heard
const PATIENCE = 24000; // between two questions at most

export class Talk {
  asked = 0; // the number of the latest question for rows
  askedAt = 0;
  answered = 0; // the number of the latest question whose rows came
  patience = UNHEARD;
  requested = 0; // the number of the latest request beside them
  /** Requests that the kernel has not answered. @type {Map<number, Pending>} */
  pending = new Map();
  acked = 0;
  ahead = 0; // the kernel's clock against ours, in seconds

  /**
   * @param {string} id what the view is known by
   * @param {(message: object) => void} send raises where there is no kernel to send to
   * @param {number} now
   */
  constructor(id, send, now) {
    this.id = id;
    this.sends = send;
    this.heard = now;
  }

  /** @param {object} message */
  send(message) {
    try {
      this.sends({ id: this.id, ...message });
    } catch {
      this.heard = 0;
    }
  }

  /**
   * Ask for rows.
   *
   * @param {object} view what is seen, and which rows in what order
   * @param {number} now
   */
  ask(view, now) {
    this.asked += 1;
    this.askedAt = now;
    this.send({ t: "view", n: this.asked, ...view });
  }

  /** Ask for anything else. @param {string} kind @param {Request} more @param {number} now */
  request(kind, more, now) {
    this.requested += 1;
    this.pending.set(this.requested, { kind, ...more, at: now });
    this.send({ t: kind, n: this.requested, ...more });
  }

  /** A tick is drawn; the kernel sends the next ones as fast as they are. @param {number} n */
  ack(n) {
    if (n === this.acked) return;
    this.acked = n;
    this.send({ t: "ack", n });
  }

  leave() {
    this.send({ t: "gone" });
  }

  /**
   * The rows in a tick that are meant for this view.
   *
   * @param {Tick} tick
   * @param {boolean} isPlain the rows for a view that has asked for nothing will do
   * @param {number} now
   * @returns {Page<unknown> | null} null if there are none, or older ones than it has
   */
  takeRows(tick, isPlain, now) {
    this.ahead = tick.now - now / 1000;
    const page = tick.pages[this.id] ?? (isPlain ? tick.pages[""] : undefined);
    if (!page || page.n < this.answered) return null;
    this.answered = page.n;
    if (page.n === this.asked) this.patience = UNHEARD;
    return page;
  }

  /** Does the kernel know of this view, by its tick? @param {Tick} tick */
  isKnownIn(tick) {
    return this.id in tick.pages;
  }

  /** The request that an answer is for. @param {Answer} answer */
  takeAnswer({ to = 0 }) {
    const request = this.pending.get(to);
    this.pending.delete(to);
    return request;
  }

  /** @param {number} now */
  isDead(now) {
    return now - this.heard > DEAD;
  }

  /** The kernel's time, in seconds. @param {number} now */
  kernelTime(now) {
    return now / 1000 + this.ahead;
  }

  /**
   * Requests that have waited too long, each once; of a dead kernel nothing is to be said.
   *
   * @param {number} now
   */
  unheard(now) {
    const late = [...this.pending].filter(([, one]) => now - one.at >= UNHEARD && !one.isTold);
    for (const [n, request] of late) {
      request.isTold = true;
      if (this.isDead(now)) this.pending.delete(n);
    }
    return this.isDead(now) ? [] : late.map(([, request]) => request);
  }

  /**
   * Is it time to ask for rows once more? A question can be lost: while the page comes up, or the connection comes back.
   *
   * Each time it takes longer to come to that.
   *
   * @param {number} now
   */
  isLost(now) {
    const waits = this.answered !== this.asked && now - this.askedAt > this.patience;
    if (!waits || this.isDead(now)) return false;
    this.patience = Math.min(2 * this.patience, PATIENCE);
    return true;
  }
}
