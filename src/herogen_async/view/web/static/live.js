// The progress of a run: what the panel in the terminal shows, and how fast it went over time.
import { axis, chart, ink } from "./chart.js";
import { ask, count, duration, fact, fill, h, rate, say, tileBoard, usd, words } from "./dom.js";

const PACE_EVERY_MS = 5000;
const MOST_SAMPLES = 900;
const BINDS = { requests: 0, tokens: 1, concurrency: 2, endpoint: 3, disk: 4, cpu: 5, paused: 6 };
const TALL = 420;

export function liveView(place, base, name) {
  const bar = h("progress", { class: "wide", max: 1, value: 0, "aria-label": "rows done" });
  const told = h("span", { class: "bar-text" }, "Reading the journal");
  const { element: board, set: tile } = tileBoard();
  const lines = h("div", { class: "lines" });
  const curve = h("div", { class: "chart" });
  const bands = h("p", { class: "quiet legend" });
  const table = h("div", {});
  fill(
    place,
    h("div", { class: "bar" }, bar, told),
    board,
    h("section", { class: "panel" }, h("h2", {}, "Answers per second"), curve, bands),
    lines,
    table,
  );

  const samples = kept(name);
  const plot = paceChart(curve, samples);
  let paceAt = 0;
  let wasRunning = true;
  let report = null;
  const binds = {};

  async function pace(force) {
    if (!force && performance.now() - paceAt < PACE_EVERY_MS) return;
    paceAt = performance.now();
    try {
      plot.show(await ask(`${base}/pace`), report);
    } catch {
      // The head says what is wrong.
    }
  }

  return {
    report(moment) {
      const first = report === null;
      report = moment.report;
      const running = report.state === "running";
      const finished = report.wanted === undefined ? report.done : report.accepted;
      const total = report.wanted === undefined ? report.total : report.wanted;
      bar.max = Math.max(total, 1);
      bar.value = finished;
      const share = total ? Math.floor((100 * finished) / total) : 0;
      say(told, `${count(finished)} of ${count(total)} ${report.wanted === undefined ? "rows" : "accepted"}, ${share} %`);
      tile("Failed", count(report.failed), report.failed ? "bad" : "");
      tile("Speed", `${rate(report.rows_per_s)} rows/s`);
      tile("Tokens", `${rate(report.tokens_per_s)} tokens/s`);
      tile("In flight", report.concurrency === null ? count(report.in_flight) : `${count(report.in_flight)} of ${count(report.concurrency)}`);
      tile("Time", duration(report.elapsed_s));
      tile("Left", !running ? "not running" : report.eta_s === null ? "not known yet" : `about ${duration(report.eta_s)}`);
      tile("Cost", usd(report.cost));
      if (report.budget !== null) tile("Budget", usd(report.budget));
      if (report.calls !== undefined) tile("Requests", `${count(report.calls.done)} of ${count(report.calls.total)}`);
      tile("Median latency", report.latency_ms.p50 === undefined ? "not known" : seconds(report.latency_ms.p50));
      tile("p99 latency", report.latency_ms.p99 === undefined ? "not known" : seconds(report.latency_ms.p99));
      Object.assign(binds, moment.binds);
      fill(lines, facts(report, binds));
      fill(table, columns(report), lanes(report));
      if (running) note(samples, moment.at, report.binding, name);
      plot.bands(bands, binds);
      pace(first || running !== wasRunning);
      wasRunning = running;
    },
    end() {
      plot.end();
    },
  };
}

const seconds = (ms) => `${ms < 1000 ? (ms / 1000).toFixed(2) : (ms / 1000).toFixed(1)} s`;

function facts(report, binds) {
  const found = [];
  const add = (title, text) => text && found.push(fact(title, text));
  const counted = (of) => Object.entries(of ?? {}).map(([key, value]) => `${words(key)} ${count(value)}`).join(", ");
  add("Why it stopped", report.state !== "running" && report.reason);
  add("What to do", report.state !== "running" && report.fix);
  add("Waits until", report.wake_at);
  add("Limited by", report.state === "running" && report.binding && `${binds[report.binding]}${report.permitted_pct === null ? "" : `, ${Math.round(report.permitted_pct)} % of the rate limit`}`);
  add("So far", Object.entries(report.binding_shares).filter(([, share]) => share >= 1).slice(0, 4).map(([what, share]) => `${binds[what]} ${Math.round(share)} %`).join(", "));
  add("Limits", Object.entries(report.limits).map(([name, value]) => `${count(value)} ${words(name).replace(" per ", "/")}`).join(", "));
  add("Errors", counted(report.errors));
  add("Worker processes", counted(report.workers));
  add("Retries", report.retries ? count(report.retries) : "");
  add("Finish reasons", counted(report.finish_reasons));
  add("Tokens", counted(report.usage));
  add("Rows", report.outcomes && counted(report.outcomes));
  add("Still out", report.stragglers.map((each) => `row ${count(each.index ?? 0)}`).slice(0, 5).join(", "));
  add("Model", report.model);
  add("Server", report.base_url ?? "this machine");
  return h("dl", { class: "facts" }, found);
}

function columns(report) {
  const entries = Object.entries(report.columns ?? {});
  if (entries.length === 0) return null;
  const names = ["done", "failed", "skipped", "not_asked"].filter((each) => entries.some(([, column]) => column[each]));
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "Columns"),
    h(
      "div",
      { class: "scroll", tabindex: 0 },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, h("th", {}, "column"), names.map((each) => h("th", { class: "number" }, words(each))))),
        h("tbody", {}, entries.map(([name, column]) => h("tr", {}, h("th", { scope: "row" }, name), names.map((each) => h("td", { class: "number" }, count(column[each] ?? 0)))))),
      ),
    ),
  );
}

function lanes(report) {
  const entries = Object.entries(report.lanes ?? {});
  if (entries.length === 0) return null;
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "Servers"),
    h(
      "dl",
      { class: "facts" },
      entries.map(([name, lane]) =>
        fact(name, `${name.includes(lane.base_url) ? "" : `${lane.model} at ${lane.base_url ?? "this machine"}: `}${count(lane.requests)} requests, ${count(lane.in_flight)} in flight${lane.reason ? `; ${lane.reason}` : ""}`),
      ),
    ),
  );
}

// -- the curve

function kept(name) {
  try {
    return JSON.parse(sessionStorage.getItem(`binding ${name}`)) ?? [];
  } catch {
    return [];
  }
}

function note(samples, at, binding, name) {
  samples.push([Math.floor(at), binding]);
  while (samples.length > MOST_SAMPLES) samples.shift();
  try {
    sessionStorage.setItem(`binding ${name}`, JSON.stringify(samples));
  } catch {
    // Without it a reload begins anew.
  }
}

function paceChart(place, samples) {
  let last = null;
  const { draw, end } = chart(place, TALL, () => {
    if (last === null) return null;
    const data = series(...last);
    if (data[0].length < 2) return "Too few answers yet for a curve.";
    const lines = [{}, { label: "answers/s", stroke: ink("--c0"), fill: ink("--c0-soft"), width: 1.5 }];
    if (data.length > 2) lines.push({ label: "request limit", stroke: ink("--c1"), dash: [6, 4], width: 1.5, points: { show: false } });
    return {
      data,
      series: lines,
      axes: [{ ...axis(), space: 90, values: (_, splits, __, ___, step) => splits.map((at) => clock(at, step)) }, { ...axis(), space: 36, size: 52 }],
      scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.08, 0.1)] } },
      fmtDate: () => (date) => clock(date.getTime() / 1000, 1, true),
      hooks: { draw: [(self) => paint(self, samples)] },
    };
  });
  return {
    show(pace, report) {
      last = [pace, report];
      draw();
    },
    bands(legend, binds) {
      const seen = [...new Set(samples.map(([, binding]) => binding).filter(Boolean))];
      const key = seen.join();
      if (legend.dataset.key === key) return;
      legend.dataset.key = key;
      fill(legend, seen.length > 0 && ["While this page was open, limited by: ", seen.map((each) => h("span", { class: `swatch b${BINDS[each] ?? 7}` }, binds[each] ?? words(each)))]);
    },
    end,
  };
}

/** A moment on the axis: as much of it as the distance to the next one asks for. */
function clock(at, step, whole = false) {
  const two = (number) => String(number).padStart(2, "0");
  const moment = new Date(at * 1000);
  const day = `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
  const time = `${two(moment.getHours())}:${two(moment.getMinutes())}`;
  if (whole) return `${day} ${time}:${two(moment.getSeconds())}`;
  if (step >= 86400) return day;
  return step >= 60 ? time : `${time}:${two(moment.getSeconds())}`;
}

function series({ seconds: width, points }, report) {
  const times = [];
  const rates = [];
  let before = null;
  // The second that is going on is not over: it would look like a fall.
  const over = report?.state === "running" ? points.slice(0, -1) : points;
  for (const [at, many] of over) {
    // A stretch without an answer is zero, from its begin to its end.
    if (before !== null && at - before > width) {
      times.push(before + width, Math.max(at - width, before + width + 1));
      rates.push(0, 0);
    }
    times.push(at);
    rates.push(many / width);
    before = at;
  }
  const rpm = report?.limits?.requests_per_minute;
  return rpm ? [times, rates, times.map(() => rpm / 60)] : [times, rates];
}

function paint(plot, samples) {
  const { ctx, bbox } = plot;
  const height = 5 * devicePixelRatio;
  ctx.save();
  for (let place = 0; place + 1 < samples.length; place += 1) {
    const [from, binding] = samples[place];
    const [to] = samples[place + 1];
    if (!binding || to - from > 5) continue;
    const left = Math.max(plot.valToPos(from, "x", true), bbox.left);
    const right = Math.min(plot.valToPos(to, "x", true), bbox.left + bbox.width);
    if (right <= left) continue;
    ctx.fillStyle = ink(`--b${BINDS[binding] ?? 7}`);
    ctx.fillRect(left, bbox.top + bbox.height - height, right - left + 1, height);
  }
  ctx.restore();
}
