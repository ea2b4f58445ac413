// Numbers as a person reads them.

/** @param {number} number */
export const whole = (number) => Math.round(number).toLocaleString("en-US");

/** @param {number} number @param {string} noun */
export const several = (number, noun) => `${whole(number)} ${noun}${number === 1 ? "" : "s"}`;

/** @param {number} number */
const twoDigits = (number) => String(number).padStart(2, "0");

/** Seconds in words, as `duration` in _core/table.py; nothing for none. @param {number} seconds */
export function duration(seconds) {
  if (!(seconds > 0)) return "";
  if (seconds < 0.001) return "<1 ms";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 99.95) return `${seconds.toFixed(1)} s`;
  const rounded = Math.round(seconds);
  const minutes = Math.floor(rounded / 60);
  if (minutes < 60) return `${minutes} min ${twoDigits(rounded % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${twoDigits(minutes % 60)} min`;
}

/** @param {number | null} perSecond null while nothing can be said */
export function rate(perSecond) {
  if (perSecond === 0) return "0";
  if (!perSecond) return "–";
  if (perSecond >= 100) return whole(perSecond);
  return perSecond.toFixed(perSecond >= 0.995 ? 1 : 2);
}

/** A point in time, in the reader's own time zone. @param {number} seconds since 1970 */
export function moment(seconds, now = new Date()) {
  const at = new Date(seconds * 1000);
  const clock = `${twoDigits(at.getHours())}:${twoDigits(at.getMinutes())}`;
  if (at.toDateString() === now.toDateString()) return `today ${clock}`;
  return `${at.getFullYear()}-${twoDigits(at.getMonth() + 1)}-${twoDigits(at.getDate())} ${clock}`;
}
