// The states as the kernel hands them over, for the tests.

/** @import { Looks } from "../../nbflow/notebook/page/types.js" */

/** @type {Looks} */
export const LOOKS = {
  states: [
    ["QUEUED", "queued", "ring"],
    ["RUNNING", "running", "arc"],
    ["RETRYING", "retrying", "again"],
    ["WAITING", "waiting", "pause"],
    ["COMPLETED", "completed", "check"],
    ["CACHED", "cached", "bolt"],
    ["FAILED", "failed", "cross"],
    ["TIMED_OUT", "timed out", "clock"],
    ["CANCELLED", "cancelled", "slash"],
    ["INTERRUPTED", "interrupted", "warn"],
  ],
  runs: [
    ["RUNNING", "running", "arc"],
    ["PARTIAL", "partial", "half"],
  ],
};
