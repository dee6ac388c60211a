// One chart: the past, the forecast with its intervals, what came, and the line where the forecast begins.

import { number } from "./format.js";

const DAY = 86_400_000;
/** Formats of times on the axis, by the distance of the ticks; the second is added where the year changes, the fourth where the day does. */
const TIMES = [
  [365 * DAY, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * DAY, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [DAY, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [3_600_000, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [60_000, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1_000, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{ss}.{fff}", null, null, null, null, null, null, 1],
];
/** Left border, the same for all charts so that their times lie below each other. */
const LEFT = 58;

const colours = () => {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
};

/** Texts of the ticks of one axis, all in the same unit. */
function tickTexts(ticks) {
  const largest = Math.max(...ticks.map(Math.abs));
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : largest;
  if (largest >= 1e5) return ticks.map((value) => Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 }).format(value));
  return ticks.map((value) => number(value, Math.max(step * 100, 1e-12)));
}

/**
 * @typedef {object} Drawing What a chart shows; all lists have the length of `at`, null = nothing there.
 * @property {number[]} at
 * @property {boolean} isIndex
 * @property {number} cut The first row that is forecast, in `at`.
 * @property {(number | null)[]} seen
 * @property {(number | null)[]} came
 * @property {(number | null)[]} naive
 * @property {(number | null)[]} forecast
 * @property {{level: number, lower: (number | null)[], upper: (number | null)[]}[]} intervals Narrow ones first.
 */

export class Chart {
  /**
   * @param {HTMLElement} host
   * @param {{label: string, height: number, hasTimes: boolean, onHover: (row: number | null) => void, onCut: (row: number) => void}} options
   */
  constructor(host, options) {
    this.host = host;
    this.options = options;
    this.plot = null;
    this.shape = "";
  }

  /** @param {Drawing} drawing */
  draw(drawing) {
    this.drawing = drawing;
    const { intervals, isIndex } = drawing;
    const shape = JSON.stringify([intervals.map(({ level }) => level), isIndex, this.options.hasTimes]);
    const wide = [...intervals].reverse();
    const data = [
      drawing.at,
      ...wide.flatMap(({ upper, lower }) => [upper, lower]),
      drawing.seen, drawing.came, drawing.naive, drawing.forecast,
    ];
    if (this.plot && shape === this.shape) {
      this.plot.setData(data);
    } else {
      this.destroy();
      this.shape = shape;
      this.plot = new window.uPlot(this.#options(wide.length, isIndex), data, this.host);
      this.host.firstChild.setAttribute("role", "img");
    }
    this.host.firstChild.setAttribute("aria-label", this.options.label);
  }

  #options(levels, isIndex) {
    const colour = colours();
    const line = (name, width, dash) => ({
      stroke: colour(name), width, dash, points: { show: false }, spanGaps: false,
    });
    const edge = { stroke: "transparent", width: 0, points: { show: false } };
    const series = [{}, ...Array.from({ length: 2 * levels }, () => edge),
      line("context", 1.25), line("truth", 1.6), line("naive", 1.4, [3, 4]), line("model", 2.2)];
    const bands = Array.from({ length: levels }, (_, at) => ({ series: [2 * at + 1, 2 * at + 2], fill: colour("band") }));
    const axis = {
      stroke: colour("muted"), font: "12px system-ui, sans-serif",
      ticks: { show: false }, grid: { stroke: colour("grid"), width: 1 },
    };
    const times = isIndex ? { values: (_, ticks) => ticks.map((value) => (Number.isInteger(value) ? String(value) : "")) } : { values: TIMES };
    return {
      width: this.host.clientWidth || 600,
      height: this.options.height,
      ms: 1,
      tzDate: (time) => window.uPlot.tzDate(new Date(time), "UTC"),
      legend: { show: false },
      padding: [14, 10, this.options.hasTimes ? 0 : 6, 0],
      scales: { x: { time: !isIndex, range: (_, low, high) => [low, high] } },
      axes: [
        { ...axis, ...times, show: this.options.hasTimes, size: 40, gap: 6, grid: { show: false }, space: 80,
          border: { show: true, stroke: colour("rule"), width: 1 }, ticks: { show: true, stroke: colour("rule"), width: 1, size: 4 } },
        { ...axis, size: LEFT, gap: 8, space: 44, values: (_, ticks) => tickTexts(ticks) },
      ],
      series,
      bands,
      cursor: {
        sync: { key: "ptsm", setSeries: false }, drag: { x: false, y: false }, y: false,
        points: { size: 6, width: 1.5, one: false },
      },
      hooks: {
        ready: [(plot) => this.#addLine(plot)],
        draw: [() => this.place()],
        setCursor: [(plot) => this.options.onHover(plot.cursor.left < 0 ? null : plot.cursor.idx)],
      },
    };
  }

  /** The line where the forecast begins, which can be dragged; the slider below the charts does the same by keys. */
  #addLine(plot) {
    const line = document.createElement("div");
    line.className = "cut";
    line.setAttribute("aria-hidden", "true");
    const grip = document.createElement("span");
    grip.className = "cut-grip";
    line.append(grip);
    plot.over.append(line);
    this.line = line;
    // The plot has been drawn before it was ready for its line.
    this.place();
    const move = (event) => {
      const left = event.clientX - plot.over.getBoundingClientRect().left;
      this.options.onCut(this.#nearest(plot.posToVal(left, "x")));
    };
    line.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      line.setPointerCapture(event.pointerId);
      line.classList.add("held");
      line.addEventListener("pointermove", move);
    });
    const leave = () => {
      line.classList.remove("held");
      line.removeEventListener("pointermove", move);
    };
    line.addEventListener("pointerup", leave);
    line.addEventListener("pointercancel", leave);
  }

  /** The row whose border to the row before it is nearest to a place. */
  #nearest(value) {
    const { at } = this.drawing;
    let [low, high] = [0, at.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (at[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Puts the line to its place. */
  place() {
    if (!this.plot || !this.line) return;
    const { at, cut } = this.drawing;
    const value = cut > 0 && cut < at.length ? (at[cut - 1] + at[cut]) / 2 : at[Math.min(cut, at.length - 1)];
    this.line.style.transform = `translateX(${this.plot.valToPos(value, "x")}px)`;
  }

  resize() {
    const width = this.host.clientWidth;
    if (this.plot && width > 0 && width !== this.plot.width) {
      this.plot.setSize({ width, height: this.options.height });
    }
  }

  destroy() {
    this.plot?.destroy();
    this.plot = null;
    this.line = null;
  }
}
