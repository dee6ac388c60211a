// What a forecast means for the series that is shown: by channel, with errors, and what is said above the charts.

import { h } from "./dom.js";
import { level, percent, short } from "./format.js";
import { score, seasonalNaive, summary } from "./scores.js";
import { levels, shownForecast, state } from "./state.js";
import { tile } from "./words.js";

/**
 * The forecast of each channel, with its rows counted in the rows at hand.
 * @returns {{seen: (number | null)[], forecast: import("./panel.js").ChannelForecast}[]}
 */
export function channelForecasts() {
  const answer = fittingForecast();
  if (!answer) return state.rows ? state.rows.channels.map((name, at) => without(name, state.rows.series.values[at])) : [];
  const { series, channels, season } = state.rows;
  const first = first_row(answer);
  return answer.channels.map((name, at) => {
    const column = (rows) => rows.map((row) => row[at]);
    const wanted = levels();
    const intervals = answer.intervals.filter(({ level }) => wanted.some((one) => Math.abs(one - level) < 1e-9))
      .map(({ level, lower, upper }) => ({ level, lower: column(lower), upper: column(upper) }));
    const seen = series.values[channels.indexOf(name)] ?? [];
    const values = column(answer.values);
    const forecast = { name, first, values, intervals, naive: seasonalNaive(seen, first, values.length, season) };
    return { seen, forecast: { ...forecast, score: score(seen, forecast) } };
  });
}

const without = (name, seen) => ({ seen, forecast: { name, first: seen.length, values: [], naive: [], intervals: [], score: null } });

/** The first row that is forecast, of the rows at hand. */
const first_row = (answer) => answer.first_row - state.rows.series.first_row;

/** The forecast, if its times are those of the rows at hand: on another grid nothing could be drawn or compared. */
function fittingForecast() {
  const answer = shownForecast();
  if (!answer) return null;
  const { times } = state.rows.series;
  if ((answer.timestamps === null) !== (times === null)) return null;
  const first = first_row(answer);
  // Steps after the last time at hand have nothing beside them.
  const differs = (time, step) => times[first + step] !== undefined && times[first + step] !== time;
  return first < 0 || answer.timestamps?.some(differs) ? null : answer;
}

/** Tiles and the legend. */
export function results() {
  const all = channelForecasts().map(({ forecast }) => forecast);
  const shown = all.filter(({ name }) => !state.hidden.has(name));
  const found = summary(shown.map(({ score }) => score));
  return { tiles: tiles(found), legend: legend(shown, found) };
}

/** Why the series that is shown has no forecast to be seen, though there is an answer; null where it has one. */
function whyNone() {
  if (!state.forecast || fittingForecast()) return null;
  const { id } = state.rows.series;
  if (state.forecast.answer.skipped.includes(id)) return `${id || "The table"} has no value before the line: move it to a later row.`;
  if (shownForecast()) return "The forecast is of other times than the rows that were read, so that it cannot be drawn beside them.";
  return `The answer has no forecast of ${id || "the table"}.`;
}

function tiles(found) {
  if (!found) {
    const why = whyNone();
    if (why) return [h("div", { class: "tile hint" }, h("span", { class: "tile-name" }, "Not forecast"), h("span", {}, why))];
    if (!fittingForecast()) return [];
    const text = "Drag the dashed line into the past, or move the slider: the forecast then begins there, beside what came.";
    return [h("div", { class: "tile hint" }, h("span", { class: "tile-name" }, "How good are such forecasts here?"), h("span", {}, text))];
  }
  const { relative, channels, compared } = found;
  const one = channels === 1;
  const parts = [];
  if (one) {
    parts.push(tile("Mean absolute error", short(found.mae), `over ${found.known} steps that came`, "model"));
    if (found.naive !== null) parts.push(tile("Seasonal naive", short(found.naive), state.rows.season > 1 ? `the value ${state.rows.season} steps earlier` : "the last value", "naive"));
  }
  if (relative !== null) {
    const better = relative < 1;
    const of = compared === channels ? `${channels} channels` : `${compared} of ${channels} channels, where that has an error`;
    const note = one ? `${percent(Math.abs(1 - relative))} ${better ? "less" : "more"} error than it` : `mean over ${of}; below 1 is better`;
    parts.push(tile("Error relative to seasonal naive", relative.toFixed(2), note, better ? "good" : "bad"));
  }
  for (const { level: wanted, share } of found.intervals) {
    parts.push(tile(`Inside the ${level(wanted)} interval`, percent(share), "of the values that came"));
  }
  return parts;
}

function legend(shown, found) {
  const entry = (role, text) => h("li", { class: `key ${role}` }, h("span", { class: "swatch", "aria-hidden": "true" }), text);
  const intervals = [...(shown[0]?.intervals ?? [])].reverse();
  return [
    entry("context", "history"),
    found ? entry("truth", "what came") : null,
    entry("model", "forecast"),
    ...intervals.map(({ level: one }, at) => entry(`band band-${Math.min(at + 1, 4)}`, `${level(one)} interval`)),
    found ? entry("naive", state.rows.season > 1 ? "seasonal naive" : "last value") : null,
  ].filter(Boolean);
}
