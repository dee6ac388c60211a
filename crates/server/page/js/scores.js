// Errors of a forecast where it is known what came, beside those of the seasonal naive forecast.

/**
 * The value of a season earlier, of earlier seasons where that one is missing, else the last value that was seen.
 * @param {(number | null)[]} seen Values of the channel.
 * @param {number} cut The first row that is forecast.
 */
export function seasonalNaive(seen, cut, steps, season) {
  let last = null;
  for (let row = cut - 1; row >= 0 && last === null; row -= 1) last = seen[row];
  const values = [];
  for (let step = 0; step < steps; step += 1) {
    let row = cut + step;
    let value = null;
    while (value === null) {
      row -= season;
      if (row < 0) break;
      if (row < cut) value = seen[row];
    }
    values.push(value ?? last);
  }
  return values;
}

/**
 * Mean absolute errors over the steps whose value is known, and how many of those lie in each interval.
 * @param {(number | null)[]} seen Values of the channel.
 * @param {{first: number, values: number[], naive: (number | null)[], intervals: {level: number, lower: number[], upper: number[]}[]}} forecast
 */
export function score(seen, forecast) {
  let [known, error, naive] = [0, 0, 0];
  const inside = forecast.intervals.map(() => 0);
  forecast.values.forEach((value, step) => {
    const came = seen[forecast.first + step];
    if (came === null || came === undefined) return;
    known += 1;
    error += Math.abs(value - came);
    // Before the first value that is known there is no naive forecast, of any step.
    naive += Math.abs((forecast.naive[step] ?? NaN) - came);
    forecast.intervals.forEach(({ lower, upper }, at) => {
      if (came >= lower[step] && came <= upper[step]) inside[at] += 1;
    });
  });
  if (known === 0) return null;
  const intervals = forecast.intervals.map(({ level }, at) => ({ level, inside: inside[at] }));
  return { known, mae: error / known, naive: Number.isNaN(naive) ? null : naive / known, intervals };
}

/** Over channels: the mean of the errors relative to the naive one, of those `compared` where that is not 0, and the shares inside the intervals. */
export function summary(scores) {
  const all = scores.filter((score) => score !== null);
  if (all.length === 0) return null;
  const ratios = all.filter(({ naive }) => naive !== null && naive > 0).map((score) => score.mae / score.naive);
  const known = all.reduce((sum, score) => sum + score.known, 0);
  const intervals = all[0].intervals.map(({ level }, at) => ({
    level,
    share: all.reduce((sum, score) => sum + score.intervals[at].inside, 0) / known,
  }));
  const relative = ratios.length ? ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length : null;
  return { channels: all.length, compared: ratios.length, known, relative, intervals, mae: all[0].mae, naive: all[0].naive };
}
