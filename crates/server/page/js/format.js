// Numbers and times as texts.

/** A number with as many digits as `scale`, the size of its neighbours, needs. */
export function number(value, scale = Math.abs(value)) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.max(Math.abs(scale), 1e-300);
  if (value !== 0 && (size >= 1e9 || size < 1e-4)) return value.toExponential(3);
  const digits = Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(size))));
  return value.toLocaleString("en", { minimumFractionDigits: 0, maximumFractionDigits: digits });
}

/** Four significant digits at most. */
export const short = (value) => number(value, Math.abs(value) * 1.0001);

/** Numbers below each other: all with the digits that the largest of `values` needs. */
export function even(values) {
  const scale = Math.max(...values.map((value) => Math.abs(value ?? 0)));
  const digits = scale > 0 && scale < 1e9 && scale >= 1e-4 ? Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(scale)))) : null;
  return (value) => {
    if (value === null || !Number.isFinite(value)) return "–";
    return digits === null ? value.toExponential(3) : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  };
}

/** A share as percent. */
export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;

/** A level such as 0.8 as `80 %`. */
export const level = (share) => `${Math.round(share * 1000) / 10} %`;

/** Bytes in units of 1024. */
export function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${count >= 100 || unit === 0 ? Math.round(count) : count.toFixed(1)} ${units[unit]}`;
}

/** Seconds as a time that is easy to read. */
export function seconds(time) {
  if (!Number.isFinite(time)) return "–";
  if (time < 1e-3) return `${Math.round(time * 1e6)} µs`;
  if (time < 1) return `${(time * 1e3).toFixed(time < 0.01 ? 1 : 0)} ms`;
  return `${time.toFixed(1)} s`;
}

/** `1 row`, `2 rows`. */
export const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

/** A span of rows in words, by the step of the data. */
export function span(rows, at) {
  if (at.length < 2) return count(rows, "row");
  const step = (at[at.length - 1] - at[0]) / (at.length - 1);
  const days = (rows * step) / 86_400_000;
  const units = [["year", 365.25], ["month", 30.44], ["week", 7], ["day", 1], ["hour", 1 / 24], ["minute", 1 / 1440], ["second", 1 / 86_400]];
  const [name, size] = units.find(([, size]) => days >= 1.5 * size) ?? units[units.length - 1];
  return count(Math.round(days / size), name);
}

/** A time of a table for people: zeros that every time of the table ends with are left out. */
export function time(text) {
  return text.replace(/[T ]00:00(:00(\.0+)?)?$/, "").replace(/(\d{2}:\d{2}):00(\.0+)?/, "$1").replace(/(\d)T(\d)/, "$1 $2");
}
