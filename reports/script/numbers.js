// Numbers: values as text, and ratios of times. Python has the same in text/units.py and
// report/content/ratios.py, and the browser tests hold the two against each other: here too, since
// ratios are computed anew to whatever baseline the reader chooses.
// Pure: knows neither the page nor its data.
// Uses: nothing.
const numbers = (() => {
  // ---- Values as text, as units.py prints them ---------------------------------------------

  const MISSING = "-";
  const NS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
  const BYTES = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]];

  const RATES = [[1e9, "G/s"], [1e6, "M/s"], [1e3, "k/s"], [1, "/s"]];

  function digits(value) {
    const size = Math.abs(value);
    const places = size >= 100 ? 0 : size >= 10 ? 1 : 2;
    return value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
  }

  function scaled(value, scales) {
    if (value === null || Number.isNaN(value)) return MISSING;
    const [factor, unit] = scales.find(([limit]) => Math.abs(value) >= limit) ?? scales.at(-1);
    return `${value === 0 ? "0" : digits(value / factor)} ${unit}`;
  }

  const formatNs = (value) => scaled(value, NS);
  function formatNsRange(low, high) {
    const [number, unit] = formatNs(low).split(" ");
    return `${formatNs(high).endsWith(` ${unit}`) ? number : formatNs(low)} to ${formatNs(high)}`;
  }

  const formatBytes = (value) => scaled(value, BYTES);
  const formatRate = (value) => scaled(value, RATES);
  const formatCount = (value) => value.toLocaleString("en-US");
  const formatRatio = (value) => (value === null ? MISSING : `${digits(value)}x`);
  const brief = (text) => text.replace(/(\.\d*?)0+(?= )/, "$1").replace(/\.(?= )/, "");
  const percentile = (above) => `p${(100 * (1 - above)).toFixed(6).replace(/\.?0+$/, "")}`;

  // ---- Ratios and differences, as analysis/baseline.py computes them -----------------------

  // The median of one number a round with its order-statistic interval.
  // ranks[n]: the rank of the order statistic that bounds a median of n rounds, 0 for none.
  function medianOf(values, ranks) {
    const ordered = [...values].sort((a, b) => a - b);
    const rounds = ordered.length;
    const middle = rounds >> 1;
    const rank = ranks[rounds];
    return {
      estimate: rounds % 2 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2,
      low: rank ? ordered[rank - 1] : -Infinity,
      high: rank ? ordered[rounds - rank] : Infinity,
    };
  }

  // Times by round of two arms -> the ratio, and as `saved` the base's time less the other's; or null.
  function ratioOf(base, candidate, ranks) {
    if (!base || !candidate) return null;
    const pairs = base.map((time, round) => [time, candidate[round]]).filter(([a, b]) => a && b);
    const rounds = pairs.length;
    if (!rounds) return null;
    if (base === candidate) {
      return { estimate: 1, low: 1, high: 1, saved: { estimate: 0, low: 0, high: 0 }, rounds, exact: true };
    }
    const log = medianOf(pairs.map(([a, b]) => Math.log(b) - Math.log(a)), ranks);
    return {
      estimate: Math.exp(log.estimate),
      low: Math.exp(log.low),
      high: Math.exp(log.high),
      saved: medianOf(pairs.map(([a, b]) => a - b), ranks),
      rounds,
      exact: false,
    };
  }

  const decided = (ratio) => ratio.low > 1 || ratio.high < 1;

  function ratioText(ratio) {
    if (!ratio) return MISSING;
    return `${decided(ratio) || ratio.exact ? "" : "~"}${formatRatio(ratio.estimate)}${ratio.mostlyReplay ? "*" : ""}`;
  }

  function intervalText(ratio) {
    if (!ratio || ratio.exact) return MISSING;
    if (!Number.isFinite(ratio.high)) return "too few rounds";
    return `${formatRatio(ratio.low).slice(0, -1)} to ${formatRatio(ratio.high)}`;
  }

  // In words, the sign in the verb; nothing of the baseline itself, nor of a mean.
  function savedWords(ratio) {
    if (!ratio?.saved || ratio.exact) return "";
    const { estimate } = ratio.saved;
    return `${estimate < 0 ? "costs" : "saves"} ${decided(ratio) ? "" : "~"}${formatNs(Math.abs(estimate))}`;
  }

  // The interval, counting as the verb does; nothing where a side is open.
  function savedBounds(ratio) {
    if (!savedWords(ratio) || !Number.isFinite(ratio.saved.high)) return "";
    const { estimate, low, high } = ratio.saved;
    return estimate < 0 ? formatNsRange(-high, -low) : formatNsRange(low, high);
  }

  function ratioLook(ratio) {
    if (!ratio) return "missing";
    if (ratio.exact) return "same";
    if (!decided(ratio)) return "undecided";
    const size = Math.max(ratio.estimate, 1 / ratio.estimate);
    const step = 1 + [1.25, 2, 8].filter((limit) => size >= limit).length;
    return `${ratio.estimate > 1 ? "slower" : "faster"}-${step}`;
  }

  // The geometric mean of rows of times, round by round.
  function meanOfTimes(rows) {
    return rows[0].map((_, round) => {
      const logs = rows.map((row) => (row[round] ? Math.log(row[round]) : NaN));
      return Math.exp(logs.reduce((sum, value) => sum + value, 0) / logs.length);
    });
  }

  const meanOfShares = (shares) => shares.reduce((product, share) => product * share, 1) ** (1 / shares.length);

  return {
    formatNs, formatBytes, formatRate, formatCount, formatRatio, brief, percentile,
    ratioOf, decided, ratioText, intervalText, savedWords, savedBounds, ratioLook, meanOfTimes, meanOfShares,
  };
})();
