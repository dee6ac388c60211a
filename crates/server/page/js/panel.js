// A channel: its name, its chart, its error, and the numbers below the pointer.

import { Chart } from "./chart.js";
import { h } from "./dom.js";
import { level, short, time } from "./format.js";

const filled = (length, from, values) => {
  const all = new Array(length).fill(null);
  values.forEach((value, at) => {
    if (from + at >= 0 && from + at < length) all[from + at] = value;
  });
  return all;
};

/**
 * @typedef {object} ChannelForecast A forecast of one channel; rows are counted in the rows at hand.
 * @property {string} name
 * @property {number} first The first row that is forecast.
 * @property {number[]} values
 * @property {(number | null)[]} naive
 * @property {{level: number, lower: number[], upper: number[]}[]} intervals
 * @property {ReturnType<import("./scores.js").score>} score
 */

export class Panel {
  /** @param {{isLast: boolean, height: number, onCut: (row: number) => void}} options */
  constructor(options) {
    this.options = options;
    this.name = h("h2", {});
    this.readout = h("p", { class: "readout" });
    this.host = h("div", { class: "plot" });
    this.element = h("figure", { class: "panel" }, h("figcaption", { class: "panel-head" }, this.name, this.readout), this.host);
    this.chart = new Chart(this.host, {
      label: "",
      height: options.height,
      hasTimes: options.isLast,
      onHover: (row) => this.#hover(row),
      onCut: (row) => options.onCut(row + this.start),
    });
  }

  /**
   * @param {{at: number[], times: string[] | null, isIndex: boolean}} axis All rows, and the steps after them.
   * @param {(number | null)[]} seen Values of the channel.
   * @param {ChannelForecast | null} forecast
   * @param {{start: number, end: number, cut: number}} shown Rows that are drawn, and the line.
   */
  draw(axis, seen, forecast, shown) {
    const { start, end, cut } = shown;
    const length = end - start;
    this.start = start;
    this.axis = axis;
    this.seen = seen;
    this.forecast = forecast;
    const value = (row) => seen[row] ?? null;
    const rows = Array.from({ length }, (_, at) => at + start);
    const first = forecast ? forecast.first - start : 0;
    const part = (values) => (forecast ? filled(length, first, values) : new Array(length).fill(null));
    this.name.textContent = forecast?.name ?? "";
    this.chart.options.label = this.#label();
    this.#say(null);
    const came = rows.map((row) => (row >= cut - 1 ? value(row) : null));
    this.chart.draw({
      at: axis.at.slice(start, end),
      isIndex: axis.isIndex,
      cut: cut - start,
      seen: rows.map((row) => (row < cut ? value(row) : null)),
      came: came.some((value, at) => value !== null && at + start >= cut) ? came : new Array(length).fill(null),
      forecast: part(forecast?.values ?? []),
      naive: part(forecast?.score ? forecast.naive : []),
      intervals: (forecast?.intervals ?? []).map((interval) => ({
        level: interval.level, lower: part(interval.lower), upper: part(interval.upper),
      })),
    });
  }

  /** What the chart shows, for those who do not see it. */
  #label() {
    const { forecast, axis } = this;
    if (!forecast) return "";
    const { name, first, values } = forecast;
    const from = axis.times ? ` from ${time(axis.times[first] ?? "")}` : "";
    return `${name}: forecast of ${values.length} steps${from}, first ${short(values[0])}, last ${short(values[values.length - 1])}. The numbers are in the table below.`;
  }

  #hover(row) {
    this.#say(row === null || row === undefined ? null : row + this.start);
  }

  /** The numbers of a row; without one, the error. */
  #say(row) {
    const { forecast, axis, seen } = this;
    const parts = [];
    const part = (name, text, role) => parts.push(h("span", { class: `said ${role}` }, `${name} `, h("b", {}, text)));
    if (row !== null) {
      parts.push(h("span", { class: "said when" }, axis.times ? time(axis.times[row] ?? "") : `row ${row + 1}`));
      if (seen[row] !== undefined) part("seen", short(seen[row]), "truth");
      const step = forecast ? row - forecast.first : -1;
      if (forecast && step >= 0 && step < forecast.values.length) {
        part("forecast", short(forecast.values[step]), "model");
        const widest = forecast.intervals[forecast.intervals.length - 1];
        if (widest) part(level(widest.level), `${short(widest.lower[step])} to ${short(widest.upper[step])}`, "model");
      }
    } else if (forecast?.score) {
      const { mae, naive } = forecast.score;
      part("error", short(mae), "model");
      if (naive !== null) part("seasonal naive", short(naive), "naive");
    }
    this.readout.replaceChildren(...parts);
  }

  resize() {
    this.chart.resize();
  }

  destroy() {
    this.chart.destroy();
  }
}
