// What the forecast view shows, and what follows from it.

/** The state; the views read it, `forecast_view.js` alone changes it. */
export const state = {
  /** @type {import("./source.js").Source | null} */
  source: null,
  /** The answer of /v1/inspect; null where the table could not be read. */
  inspected: null,
  /** Corrections of what was guessed: fields of `schema`. */
  schema: {},
  /** The answer of /page/rows. */
  rows: null,
  /** Number of the series that is shown. */
  series: 0,
  models: [],
  model: null,
  /** Steps that were asked for; null = those of the model. */
  steps: null,
  /** Levels that were asked for; null = those of the model. */
  levels: null,
  /** Rows before the end from which it is forecast. */
  back: 0,
  /** The answer of /v1/forecast, with the `back` that it is for. */
  forecast: null,
  /** Channels that are not shown. */
  hidden: new Set(),
  /** Rows of history that are shown; Infinity = all. */
  history: 0,
};

/** The model that is chosen. */
export const model = () => state.models.find((model) => model.name === state.model) ?? null;

export const isAnySeries = (model) => model?.task === "forecasting any series";

/** Models that forecast. */
export const forecasters = () => state.models.filter((model) => model.state === "ready" && model.task.startsWith("forecasting"));

/** Steps that are forecast. */
export function steps() {
  if (state.steps) return state.steps;
  const own = model();
  return isAnySeries(own) ? state.rows?.usual_steps ?? 48 : own?.prediction_length ?? 48;
}

/** Levels that can be chosen, and whether each is. */
export function levelChoices() {
  const own = model();
  if (!own) return [];
  if (!isAnySeries(own) && steps() > own.prediction_length) return [];
  const all = isAnySeries(own) ? [0.5, 0.8, 0.9, 0.95] : own.interval_levels;
  const chosen = state.levels ?? own.interval_levels;
  return all.map((level) => ({ level, is_chosen: chosen.includes(level) }));
}

/** Levels that are shown, the narrow ones first. */
export const levels = () => levelChoices().filter((choice) => choice.is_chosen).map((choice) => choice.level);

/** Options of the request for the forecast, without what the server takes anyway. */
export function options() {
  const own = model();
  const wanted = levels();
  const usual = own?.interval_levels ?? [];
  const same = wanted.length === 0 || (wanted.length === usual.length && wanted.every((level) => usual.includes(level)));
  const given = { model: state.model };
  if (state.steps) given.prediction_length = state.steps;
  if (state.back > 0) given.rows_before_end = state.back;
  if (!same) given.levels = wanted;
  return given;
}

/** How the table is read for the forecast: a model that was trained takes its own channels, and has no use for a season. */
export function forecastSchema() {
  if (isAnySeries(model())) return state.schema;
  const { targets, season, ...schema } = state.schema;
  return schema;
}

/** The forecast of the series that is shown. */
export function shownForecast() {
  const { forecast, rows } = state;
  if (!forecast || !rows) return null;
  return forecast.answer.forecasts.find((one) => one.id === rows.series.id) ?? null;
}
