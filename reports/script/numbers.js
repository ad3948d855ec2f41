// Numbers: values as text, and ratios of times and counts. Python has the same in text/units.py and
// report/content/ (ratios.py, compared.py), and the browser tests hold the two against each other: here too, since
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
    const exact = log.low === 0 && log.high === 0;
    return {
      estimate: Math.exp(log.estimate),
      low: Math.exp(log.low),
      high: Math.exp(log.high),
      saved: medianOf(pairs.map(([a, b]) => a - b), ranks),
      rounds,
      exact,
    };
  }

  // Counts of two arms, each [value, least, greatest, how many processes] or null -> the ratio between
  // the farthest ends, infinite over none, unbounded of a single process; compared.py has the same.
  function countRatio(base, candidate) {
    if (!base || !candidate) return null;
    const counted = { saved: null, rounds: 0, counted: true };
    if (base === candidate) return { ...counted, estimate: 1, low: 1, high: 1, exact: true, counted: false };
    const over = (one, other) => (other ? one / other : one ? Infinity : 1);
    if (Math.min(base[3], candidate[3]) < 2) return { ...counted, estimate: over(candidate[0], base[0]), low: 0, high: Infinity, exact: false };
    const [low, high] = [over(candidate[1], base[2]), over(candidate[2], base[1])];
    return { ...counted, estimate: over(candidate[0], base[0]), low, high, exact: low === 1 && high === 1 };
  }

  const decided = (ratio) => ratio.low > 1 || ratio.high < 1;

  function ratioText(ratio) {
    if (!ratio) return MISSING;
    if (ratio.estimate === Infinity) return "from 0";
    return `${decided(ratio) || ratio.exact ? "" : "~"}${formatRatio(ratio.estimate)}${ratio.mostlyReplay ? "*" : ""}`;
  }

  function intervalText(ratio) {
    if (!ratio || (ratio.exact && !ratio.counted)) return MISSING;
    if (ratio.counted && ratio.low === ratio.high) return "exact";
    if (!Number.isFinite(ratio.high)) return !ratio.counted ? "too few rounds" : ratio.low ? "from 0" : "one process";
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

  // As a figure of its own, less than nothing where it takes longer; and its interval likewise.
  function savedText(ratio) {
    if (!ratio?.saved) return MISSING;
    return `${decided(ratio) || ratio.exact ? "" : "~"}${formatNs(ratio.saved.estimate)}`;
  }

  function savedIntervalText(ratio) {
    if (!ratio?.saved || ratio.exact) return "";
    return Number.isFinite(ratio.saved.high) ? formatNsRange(ratio.saved.low, ratio.saved.high) : "too few rounds";
  }

  // The style sheet's class. steps: the sizes at which the colour grows stronger.
  function lookOf(ratio, steps, size, worse) {
    if (!ratio) return "missing";
    if (ratio.exact) return "same";
    if (!decided(ratio)) return "undecided";
    return `${worse ? "slower" : "faster"}-${1 + steps.filter((limit) => size >= limit).length}`;
  }

  const ratioLook = (ratio, steps) => lookOf(ratio, steps, Math.max(ratio?.estimate, 1 / ratio?.estimate), ratio?.estimate > 1);
  const savedLook = (ratio, steps) => lookOf(ratio?.saved ? ratio : null, steps, Math.abs(ratio?.saved?.estimate), ratio?.saved?.estimate < 0);

  // The geometric mean of rows of times, round by round.
  function meanOfTimes(rows) {
    return rows[0].map((_, round) => {
      const logs = rows.map((row) => (row[round] ? Math.log(row[round]) : NaN));
      return Math.exp(logs.reduce((sum, value) => sum + value, 0) / logs.length);
    });
  }

  // That of rows of counts, end by end; null where one of them is nothing.
  function meanOfCounts(rows) {
    if (rows.some(([, least]) => !(least > 0))) return null;
    const ends = [0, 1, 2].map((end) => Math.exp(rows.reduce((sum, row) => sum + Math.log(row[end]), 0) / rows.length));
    return [...ends, Math.min(...rows.map((row) => row[3]))];
  }

  const meanOfShares = (shares) => shares.reduce((product, share) => product * share, 1) ** (1 / shares.length);

  return {
    formatNs, formatBytes, formatRate, formatCount, formatRatio, brief, percentile,
    ratioOf, countRatio, decided, ratioText, intervalText, savedWords, savedBounds, savedText, savedIntervalText,
    ratioLook, savedLook, meanOfTimes, meanOfCounts, meanOfShares,
  };
})();
