// Quality: what the checks of a data set find in the rows, before anything is trained; a finding leads to its rows.
import { ago, ask, count, counted, fact, fill, h, post, say, sentence, trouble } from "./dom.js";
import { polling } from "./polling.js";

const EVERY_MS = 700;
const FATES = { usual: "usual length", cut: "cut off", outlier: "far shorter or longer" };

export function qualityView(place, base, home) {
  let ended = false;
  let shown = ""; // the check whose findings are drawn
  let done = null;

  const status = h("p", { class: "quality-status", role: "status" }, h("span", { class: "quiet" }, "Looking for an earlier check"));
  const bar = h("progress", { class: "wide", max: 1, value: 0, "aria-label": "rows checked", hidden: true });
  const button = h("button", { class: "main", type: "button", hidden: true });
  const message = h("div", { "aria-live": "polite" });
  const found = h("div", { class: "quality" });
  fill(place, h("div", { class: "quality-head" }, status, bar, button), message, found);

  let action = "check";
  button.addEventListener("click", async () => {
    try {
      draw(await post(`${base}/quality`, { do: action }));
      looking.now();
    } catch (error) {
      fill(message, trouble(error));
    }
  });

  function draw(told) {
    const { running, checked, trouble: wrong, is_stale: isStale } = told;
    action = running ? "stop" : "check";
    button.hidden = false;
    say(button, running ? "Stop" : checked ? "Check again" : "Check the rows");
    button.className = running || (checked && !isStale) ? "" : "main";
    bar.hidden = !running;
    if (running) {
      const { done: many, of } = running;
      bar.max = of ?? 1;
      bar.value = many ?? 0;
      say(status, many === undefined ? "Reading the journal" : `Checking the rows: ${count(many)} of ${count(of)}`);
    } else if (checked) say(status, `${count(checked.rows)} rows checked ${ago(Date.parse(checked.at) / 1000)}.${isStale ? stale(checked) : ""}`);
    else say(status, "Not checked yet.");
    status.classList.toggle("stale", Boolean(isStale) && !running);
    if (wrong) fill(message, trouble({ message: wrong.error, fix: wrong.fix }));
    else if (message.childElementCount) fill(message);
    if (!checked) {
      if (shown !== "none") fill(found, empty());
      shown = "none";
    } else if (shown !== checked.at) {
      shown = checked.at;
      fill(found, report(checked, home));
    }
  }

  const stale = (checked) => (done !== null && done > checked.rows ? ` Rows have come since: ${count(done)} are done now.` : " The rows have changed since.");

  async function look() {
    try {
      const told = await ask(`${base}/quality`);
      if (ended) return null;
      draw(told);
      return told.running ? EVERY_MS : null;
    } catch (error) {
      if (!ended) fill(message, trouble(error));
      return null;
    }
  }
  const looking = polling(look);

  return {
    report(moment) {
      const before = done;
      done = moment.report.done;
      // What was checked grows old while the run goes on.
      if (before !== null && before !== done && action === "check" && shown !== "none") looking.now();
    },
    end() {
      ended = true;
      looking.end();
    },
  };
}

const empty = () =>
  h(
    "div",
    { class: "empty" },
    h("p", {}, "The checks look at each answer: is it empty, cut off, a refusal, stuck in a loop, in another language, far shorter or longer than the others, or (nearly) the same as an earlier one?"),
    h("p", {}, "A process of its own does it, and no row is changed. A thousand rows take about a second."),
  );

function report(checked, home) {
  const left = Object.entries(checked.left_out);
  return [
    checked.warnings.map((each) => h("p", { class: "warning" }, sentence(each))),
    left.length > 0 && h("p", { class: "quiet" }, `Not among the rows checked: ${left.map(([why, many]) => `${count(many)} ${why}`).join(", ")}.`),
    findings(checked, home),
    h("div", { class: "plots" }, words(checked.words, checked.lengths), likeness(checked.likeness, checked.diversity)),
    h("div", { class: "plots" }, groups(checked.groups, home), figures(checked)),
  ];
}

function findings(checked, home) {
  if (checked.findings.length === 0) return h("section", { class: "panel" }, h("h2", {}, "Findings"), h("p", { class: "good-text" }, `The checks found nothing in ${count(checked.rows)} rows.`));
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "Findings"),
    h("div", { class: "findings" }, checked.findings.map((each) => {
      const share = each.rows / Math.max(checked.rows, 1);
      const meter = h("span", { class: "meter", "aria-hidden": "true" }, h("span", {}));
      meter.firstChild.style.width = `${Math.max(100 * share, 1)}%`;
      return h(
        "article",
        { class: "finding" },
        h(
          "div",
          { class: "finding-head" },
          h("h3", {}, each.kind),
          h("span", { class: "finding-count" }, `${counted(each.rows, "row")}, ${percent(share)}`),
          h("a", { href: `${home}/rows?${new URLSearchParams({ finding: each.kind })}` }, each.rows === 1 ? "Show the row" : `Show all ${count(each.rows)}`),
          meter,
        ),
        h("p", { class: "quiet" }, sentence(each.meaning)),
        h("ul", { class: "seen" }, each.seen.map((seen) => h("li", {}, h("a", { href: `${home}/rows/${seen.row}` }, `Row ${count(seen.row)}`), h("span", { class: "excerpt" }, seen.excerpt || "(no text)"), seen.note && h("span", { class: "quiet" }, seen.note)))),
      );
    })),
  );
}

const percent = (share) => `${share > 0 && share < 0.01 ? "under 1" : Math.round(100 * share)} %`;

// -- plots

/** Bars of whole numbers: `series` has a list for each name, stacked; `marks` are lines at shares of the width. */
function bars(series, { label, named, ends, marks = [], axis }) {
  const names = Object.keys(series);
  const many = series[names[0]].length;
  const totals = Array.from({ length: many }, (_, bin) => names.reduce((sum, name) => sum + series[name][bin], 0));
  const most = Math.max(...totals, 1);
  const columns = totals.map((total, bin) => {
    const column = h("div", { class: "bar-column", title: total ? `${named(bin)}: ${names.filter((name) => series[name][bin]).map((name) => `${names.length > 1 ? `${FATES[name]} ` : ""}${count(series[name][bin])}`).join(", ")}` : null });
    for (const name of [...names].reverse()) {
      if (!series[name][bin]) continue;
      const piece = h("div", { class: `bar-piece ${name}` });
      piece.style.height = `${(100 * series[name][bin]) / most}%`;
      column.append(piece);
    }
    return column;
  });
  const lines = marks.map((share) => {
    const line = h("div", { class: "bar-mark" });
    line.style.left = `${100 * share}%`;
    return line;
  });
  return h("div", { class: "bars", role: "img", "aria-label": label }, h("div", { class: "bars-most quiet" }, count(most)), h("div", { class: "bars-room" }, columns, lines), h("div", { class: "bars-ends quiet" }, h("span", {}, ends[0]), h("span", {}, axis), h("span", {}, ends[1])));
}

function words(told, lengths) {
  if (told === null) return null;
  const { edges, bounds, fates } = told;
  const low = (bin) => Math.max(0, Math.ceil(edges[bin]));
  const high = (bin) => Math.max(low(bin), Math.ceil(edges[bin + 1]) - 1);
  const total = (fate) => fates[fate].reduce((sum, each) => sum + each, 0);
  const isLog = edges.length > 2 && Math.abs(edges[2] - edges[1] - (edges[1] - edges[0])) > 1e-6;
  const place = (value) => {
    const scale = isLog ? Math.log : (each) => each;
    return (scale(Math.max(value, edges[0])) - scale(edges[0])) / (scale(edges.at(-1)) - scale(edges[0]));
  };
  const marks = (bounds ?? []).filter((each) => each > edges[0] && each < edges.at(-1)).map(place);
  const spread = lengths.words;
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "Words per answer"),
    spread && h("p", { class: "quiet" }, `Median ${count(spread.p50)}; 90 % between ${count(spread.p05)} and ${count(spread.p95)}${isLog ? "; the bars grow wider to the right" : ""}.`),
    bars(fates, { label: `Answers by their number of words: ${Object.keys(fates).map((fate) => `${FATES[fate]} ${count(total(fate))}`).join(", ")}`, named: (bin) => `${low(bin) === high(bin) ? count(low(bin)) : `${count(low(bin))} to ${count(high(bin))}`} words`, ends: [count(low(0)), count(high(edges.length - 2))], marks, axis: "words" }),
    h("p", { class: "map-legend" }, Object.keys(fates).map((fate) => h("span", { class: "key" }, h("span", { class: `chip ${fate}`, "aria-hidden": "true" }), `${FATES[fate]} (${count(total(fate))})`)), marks.length > 0 && h("span", { class: "quiet" }, "beyond the dashed lines: far from the others")),
  );
}

function likeness(told, sentences) {
  if (told === null) return null;
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "Likeness"),
    sentences.map((each) => h("p", { class: "quiet" }, each)),
    bars(
      { usual: told.bins },
      { label: `${count(told.answers)} answers by their likeness to the most similar other one`, named: (bin) => `${2 * bin} to ${2 * bin + 2} %`, ends: ["0 %", "100 %"], marks: [told.threshold], axis: "likeness to the most similar other answer" },
    ),
    h("p", { class: "map-legend quiet" }, "Beyond the dashed line: near-duplicates."),
  );
}

function groups({ count: many, largest }, home) {
  if (many === 0) return null;
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "Repeated answers"),
    h("p", { class: "quiet" }, many > largest.length ? `The ${largest.length} largest of ${count(many)} groups.` : `${counted(many, "group")} of answers that are (nearly) the same.`),
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Repeated answers" },
      h(
        "table",
        { class: "groups" },
        h("thead", {}, h("tr", {}, h("th", {}, "first row"), h("th", { class: "number" }, "rows"), h("th", { class: "number" }, "least likeness"), h("th", {}, "text"))),
        h("tbody", {}, largest.map((each) => h("tr", {}, h("td", {}, h("a", { href: `${home}/rows/${each.row}` }, count(each.row))), h("td", { class: "number" }, count(each.rows)), h("td", { class: "number" }, `${Math.round(100 * each.likeness)} %`), h("td", { class: "excerpt" }, each.excerpt)))),
      ),
    ),
  );
}

function figures(checked) {
  const { tokens, languages, lengths } = checked;
  const guessed = tokens.estimated + tokens.estimated_prompts > 0 ? "about " : "";
  const add = (title, text) => text && fact(title, text);
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "Figures"),
    h(
      "dl",
      { class: "facts" },
      add("Tokens per epoch", `${guessed}${count(tokens.prompt + tokens.completion)}, ${count(tokens.completion)} of them in completions`),
      Object.entries(lengths).map(([name, each]) => add(`Completion, ${name}`, `${count(each.least)} to ${count(each.most)}, median ${count(each.p50)}, mean ${count(each.mean)}`)),
      add("Languages", Object.entries(languages).map(([name, many]) => `${name} ${count(many)}`).join(", ")),
    ),
  );
}
