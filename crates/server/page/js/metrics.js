// The counters of the server, out of the text that Prometheus reads.

/** Every sample: name, labels, value. */
export function samples(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const parts = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!parts || line.startsWith("#")) continue;
    const labels = {};
    for (const [, name, value] of (parts[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[name] = value;
    found.push({ name: parts[1], labels, value: Number(parts[3]) });
  }
  return found;
}

/** The value of a sample without labels. */
export const single = (all, name) => all.find((sample) => sample.name === name)?.value ?? null;

/** The quantile of a histogram: the border below which that share of its values is; null where there are none. */
export function quantile(all, name, share) {
  const buckets = all.filter((sample) => sample.name === `${name}_bucket`)
    .map(({ labels, value }) => ({ most: Number(labels.le === "+Inf" ? Infinity : labels.le), value }))
    .sort((a, b) => a.most - b.most);
  const count = buckets[buckets.length - 1]?.value ?? 0;
  if (count === 0) return null;
  return buckets.find(({ value }) => value >= share * count).most;
}

/** Statuses of gRPC that are failures of the server: unknown, internal, unavailable, data loss. */
const FAILURES_OF_GRPC = [2, 13, 14, 15];

/** What a status means; a refusal of HTTP itself, as before a call is reached, is counted as one of HTTP. */
export function outcome(protocol, code) {
  if (protocol === "grpc" && code < 100) {
    if (code === 0) return "ok";
    return FAILURES_OF_GRPC.includes(code) ? "failed" : "refused";
  }
  if (code < 400) return "ok";
  return code < 500 ? "refused" : "failed";
}

/** Requests of each model by what became of them. */
export function requests(all) {
  const counts = new Map();
  for (const { name, labels, value } of all) {
    if (name !== "ptsm_requests_total") continue;
    const of = counts.get(labels.model) ?? { ok: 0, refused: 0, failed: 0 };
    of[outcome(labels.protocol, Number(labels.code))] += value;
    counts.set(labels.model, of);
  }
  return counts;
}
