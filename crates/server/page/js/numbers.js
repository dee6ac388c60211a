// The forecast as a table: the alternative to the charts.

import { h } from "./dom.js";
import { even, level, time } from "./format.js";

/**
 * @param {{times: string[] | null}} axis
 * @param {{forecast: import("./panel.js").ChannelForecast, seen: (number | null)[]}[]} channels
 */
export function numbers(axis, channels) {
  if (channels.length === 0) return h("p", { class: "muted" }, "There is no forecast.");
  const [{ forecast }] = channels;
  const has_truth = channels.some(({ forecast }) => forecast.score);
  const columns = ({ forecast, seen }) => [
    { title: "forecast", cell: (step) => forecast.values[step] },
    ...forecast.intervals.flatMap((interval) => [
      { title: `${level(interval.level)} from`, cell: (step) => interval.lower[step] },
      { title: "to", cell: (step) => interval.upper[step] },
    ]),
    ...(has_truth ? [
      { title: "seen", cell: (step) => seen[forecast.first + step] },
      { title: "seasonal naive", cell: (step) => forecast.naive[step] },
    ] : []),
  ];
  const all = channels.map((channel) => ({ name: channel.forecast.name, columns: columns(channel), text: even(channel.forecast.values) }));
  const rows = forecast.values.map((_, step) => h("tr", {},
    h("th", { scope: "row" }, axis.times ? time(axis.times[forecast.first + step] ?? "") : String(forecast.first + step + 1)),
    ...all.flatMap(({ columns, text }) => columns.map(({ cell }) => h("td", {}, text(cell(step) ?? null))))));
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Numbers of the forecast" },
    h("table", {},
      h("caption", { class: "hidden-text" }, "Forecast of each channel, step by step"),
      h("thead", {},
        h("tr", {}, h("td", {}), ...all.map(({ name, columns }) => h("th", { scope: "colgroup", colspan: columns.length }, h("span", {}, name)))),
        h("tr", {}, h("th", { scope: "col" }, axis.times ? "time" : "row"),
          ...all.flatMap(({ columns }) => columns.map(({ title }) => h("th", { scope: "col" }, title))))),
      h("tbody", {}, ...rows)));
}
