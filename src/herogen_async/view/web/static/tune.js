// Tune: the way from rows to a model, and each fine-tune with its losses, what it said, and how its answers compare.
import { commandLine } from "./clipboard.js";
import { ago, ask, clean, count, counted, duration, fact, fill, h, post, say, sentence, tileBoard, trouble, words } from "./dom.js";
import { lossChart } from "./loss_chart.js";
import { polling } from "./polling.js";

const GOING_MS = 2000;
const RESTING_MS = 5000;
const FEW_EVENTS = 6;
const FEW_SAMPLES = 3;
const SURE_MS = 5000; // within which a second press starts a command
const STATES = { running: "going", succeeded: "good", failed: "bad", cancelled: "warn", interrupted: "bad", refused: "bad", unreadable: "bad" };

export function tuneView(place, base, home) {
  const message = h("div", {});
  const way = h("ol", { class: "way" });
  const jobs = h("div", { class: "finetunes" });
  const nothing = h("div", { class: "empty", hidden: true }, h("p", {}, "No fine-tunes yet."), h("p", {}, "One that is started, here or in a terminal, is shown with its losses while it trains."));
  const cards = new Map();
  let isEnded = false;
  let last = null;
  const refused = h("div", {});
  const startedBox = h("div", { class: "started", hidden: true });
  fill(place, message, h("section", { class: "panel" }, h("h2", {}, "From rows to a model"), way, refused, startedBox), nothing, jobs);
  fill(way, h("li", { class: "quiet" }, "Reading the fine-tunes"));

  async function look() {
    try {
      const told = await ask(`${base}/tune`);
      if (isEnded) return null;
      fill(message);
      last = told;
      show();
    } catch (error) {
      if (!isEnded) fill(message, trouble(error));
    }
    const isGoing = last?.started?.exit_code === null || last?.finetunes.some((each) => each.is_going || each.is_watched);
    return isGoing ? GOING_MS : RESTING_MS;
  }

  async function start(command_name, command) {
    try {
      fill(refused);
      const { started } = await post(`${base}/tune/start`, { name: command_name, command });
      showStarted(started);
    } catch (error) {
      if (!isEnded) fill(refused, trouble(error));
    }
    looking.now();
  }

  let shownStarted = "";
  function showStarted(started) {
    const now = JSON.stringify(started);
    if (now === shownStarted) return;
    shownStarted = now;
    startedBox.hidden = started === null;
    fill(startedBox, startedPart(started));
    const lines = startedBox.querySelector("pre");
    if (lines !== null) lines.scrollTop = lines.scrollHeight;
  }

  function show() {
    drawWay(way, last, home, start);
    showStarted(last.started);
    nothing.hidden = last.finetunes.length > 0;
    const numbers = new Set(last.finetunes.map(({ number }) => number));
    for (const [number, card] of cards) {
      if (numbers.has(number)) continue;
      card.end();
      card.element.remove();
      cards.delete(number);
    }
    last.finetunes.forEach((told, index) => {
      if (!cards.has(told.number)) {
        const card = finetuneCard(told.number, base, home);
        cards.set(told.number, card);
        jobs.insertBefore(card.element, jobs.children[index] ?? null);
      }
      cards.get(told.number).show(told);
    });
  }

  const looking = polling(look);
  return {
    report() {},
    end() {
      isEnded = true;
      looking.end();
      for (const card of cards.values()) card.end();
    },
  };
}

// -- the way

/** The four steps; `start(name, command)` starts what the page may start. */
function drawWay(way, told, home, start) {
  const key = JSON.stringify([told.marks, told.dataset, told.commands, told.starts, told.finetunes.map((each) => [each.number, each.status, each.is_going, each.model, each.evaluated_at])]);
  if (way.dataset.key === key) return; // a command that somebody is selecting stays
  way.dataset.key = key;
  const { dataset, marks, commands } = told;
  const [latest] = told.finetunes;
  const tuned = told.finetunes.find((each) => each.model !== null);
  const isOld = dataset !== null && (dataset.is_older || (marks > 0 && !dataset.has_marks));
  const command = (name) => [commandLine(commands[name]), told.starts.includes(name) && startButton(() => start(name, commands[name]))];
  fill(
    way,
    step("Mark rows", marks > 0 ? `${counted(marks, "answer")} ${marks === 1 ? "is" : "are"} marked.` : "Mark bad answers and mend others: they are left out, or taught as you wrote them.", marks > 0, h("a", { href: `${home}/rows` }, "Rows")),
    step("Assemble the data set", dataset === null ? "Not assembled yet." : `${datasetWords(dataset)}${isOld ? " Rows or marks have come since: assemble it again." : ""}`, dataset !== null && !isOld, command("assemble")),
    step(
      "Fine-tune",
      latest === undefined ? "On this machine, with no key and no network; or at a service." : `Fine-tune ${latest.number}: ${words(latest.status)}.${latest.is_going ? " The command watches it." : ""}`,
      latest?.status === "succeeded",
      command("finetune"),
      h("details", {}, h("summary", {}, "At a service"), h("p", { class: "quiet" }, "The command tells what it costs, and asks before anything is sent."), commandLine(`herogen-async finetune ${told.argument} --base-url https://api.example.com/v1 --model NAME`)),
    ),
    step("Compare and ask", tuned === undefined ? "Once there is a model: its answers beside those of its base." : `${tuned.model}: ask it in the playground, or have it evaluated on held-out questions.`, tuned?.evaluated_at > 0, tuned && h("a", { href: `${home}/playground` }, "Playground"), tuned && command("evaluate")),
  );
}

const step = (title, told, isDone, ...more) =>
  h("li", { class: isDone ? "is-done" : "" }, h("h3", {}, title, h("span", { class: "way-state" }, isDone ? " ✓" : "")), h("p", { class: "quiet" }, told), more);

/** Starts at the second press: it takes this machine's processor for minutes. */
function startButton(start) {
  let timer = null;
  const rest = () => {
    clearTimeout(timer);
    timer = null;
    say(button, "Run it here");
    button.classList.remove("main");
  };
  const button = h("button", { type: "button", class: "run-here", onblur: rest }, "Run it here");
  button.addEventListener("click", () => {
    if (timer !== null) {
      rest();
      return start();
    }
    say(button, "Start it now?");
    button.classList.add("main");
    timer = setTimeout(rest, SURE_MS);
    return undefined;
  });
  return button;
}

/** What the command says that was started here. */
function startedPart(started) {
  if (started === null) return null;
  const { command, lines, exit_code: code } = started;
  const state = code === null ? ["going", "running"] : code === 0 ? ["good", "done"] : ["bad", `exit code ${code}`];
  return [h("div", { class: "card-head" }, h("code", {}, command), h("span", { class: `pill ${state[0]}` }, state[1])), h("pre", { class: "started-lines", tabindex: 0, "aria-label": "What the command says" }, lines.length ? lines.join("\n") : "Nothing yet.")];
}

function datasetWords(dataset) {
  const parts = dataset.split ? `${count(dataset.split.train)} rows to train on, ${count(dataset.split.valid)} held out` : `${count(dataset.rows ?? 0)} rows`;
  return `${parts}, ${dataset.format}, assembled ${ago(dataset.at)}.`;
}

// -- one fine-tune

function finetuneCard(number, base, home) {
  const state = h("span", {});
  const models = h("span", { class: "quiet model-name" });
  const problem = h("div", {});
  const { element: board, set: tile } = tileBoard("tune-tiles");
  const bar = h("progress", { class: "wide", max: 1, value: 0, "aria-label": "steps done" });
  const figure = h("div", { class: "chart loss-chart" });
  const said = h("div", { class: "tune-events" });
  const settings = h("div", {});
  const evaluation = h("div", { class: "evaluation" });
  const chart = lossChart(figure);
  let known = "";
  let knownLosses = "";
  let evaluatedAt = null;
  let isEnded = false;
  const element = h(
    "section",
    { class: "panel finetune", "aria-label": `Fine-tune ${number}` },
    h("div", { class: "card-head" }, h("h2", {}, `Fine-tune ${number}`), state, models),
    problem,
    bar,
    board,
    h("div", { class: "tune-body" }, h("div", {}, h("h3", {}, "Loss"), figure), h("div", {}, h("h3", {}, "What it said"), said, settings)),
    evaluation,
  );

  async function compare(at) {
    if (at === null || at === evaluatedAt) return;
    evaluatedAt = at;
    try {
      const told = await ask(`${base}/tune/${number}/evaluation`);
      if (!isEnded) fill(evaluation, told.evaluation && evaluationPart(told.evaluation));
    } catch (error) {
      if (!isEnded) fill(evaluation, trouble(error));
    }
  }

  return {
    element,
    show(told) {
      compare(told.evaluated_at);
      const losses = JSON.stringify([told.losses, told.total_steps]);
      if (losses !== knownLosses) {
        knownLosses = losses;
        chart.show({ ...told.losses, total: told.total_steps });
      }
      tile("Time", told.begun_at === null ? "not known" : `begun ${ago(told.begun_at)}`);
      const now = JSON.stringify(told);
      if (now === known) return;
      known = now;
      fill(state, h("span", { class: `pill ${STATES[told.status] ?? ""}` }, words(told.status)));
      fill(models, modelWords(told));
      element.classList.toggle("is-bare", told.status === "unreadable");
      fill(problem, problems(told));
      const { step, train, valid } = told.losses;
      const at = step.length ? step[step.length - 1] : 0;
      const isOver = told.status === "succeeded";
      bar.max = told.total_steps ?? Math.max(at, 1);
      bar.value = isOver ? bar.max : at;
      const held = valid.filter((each) => each !== null);
      const trained = train.filter((each) => each !== null);
      tile("Steps", told.total_steps === null ? (step.length ? count(at) : "none yet") : `${count(at)} of ${count(told.total_steps)}`);
      tile("Training loss", change(trained, told.metrics.train_loss));
      tile("Held-out loss", change(held, told.metrics.eval_loss, told.metrics.base_eval_loss));
      tile("Left", told.to_go_s !== null ? `about ${duration(told.to_go_s)}` : told.is_going ? "not known yet" : "nothing");
      tile("Rows", rowsWords(told.files));
      fill(said, eventList(told.events));
      fill(settings, settingsPart(told));
    },
    end() {
      isEnded = true;
      chart.end();
    },
  };
}

const loss = (value) => (typeof value === "number" ? value.toFixed(3) : "none");
function change(values, told, before) {
  const first = before ?? values[0];
  const last = told ?? values[values.length - 1];
  if (last === undefined) return "none yet";
  return first === undefined || first === last ? loss(last) : `${loss(first)} → ${loss(last)}`;
}

function rowsWords(files) {
  const rows = (role) => files[role]?.rows;
  if (rows("training") === undefined) return "not known";
  return rows("validation") === undefined ? count(rows("training")) : `${count(rows("training"))} + ${count(rows("validation"))} held out`;
}

function modelWords(told) {
  const where = told.backend === "local" ? "on this machine" : "at a service";
  if (!told.base_model) return "";
  return told.model && told.model !== told.base_model ? `${told.base_model} → ${told.model}, ${where}` : `${told.base_model}, ${where}`;
}

/** What stands in its way, and the command that goes on. */
function problems(told) {
  const found = [];
  if (told.error) found.push(h("div", { class: "trouble" }, h("strong", {}, sentence(told.error)), told.fix && h("span", {}, ` ${sentence(told.fix)}`)));
  if (told.unreached) found.push(h("div", { class: "trouble" }, h("strong", {}, `Its service could not be asked: ${told.unreached.error}.`), told.unreached.fix && ` ${sentence(told.unreached.fix)}`));
  if (told.is_unrecorded) found.push(h("p", {}, "The job has ended. The same command writes down the model that it made:"));
  else if (told.status === "not started") found.push(h("p", {}, told.is_watched ? "Its files are being handed over." : "It ended before its job was started. The same command goes on:"));
  else if (told.status === "interrupted") found.push(h("p", {}, "It goes on from its last checkpoint with the same command:"));
  const needs = told.is_unrecorded || (told.status === "not started" && !told.is_watched) || told.status === "interrupted" || told.status === "unreadable";
  if (needs) found.push(commandLine(told.again));
  return found;
}

function eventList(events) {
  if (events.length === 0) return h("p", { class: "quiet" }, "Nothing yet.");
  const line = (each) => h("li", {}, h("span", { class: "quiet" }, clockTime(each.at)), " ", h("span", { class: each.level === "error" ? "bad-text" : "" }, each.message));
  const recent = h("ul", { class: "event-list" }, events.slice(-FEW_EVENTS).map(line));
  if (events.length <= FEW_EVENTS) return recent;
  return [recent, h("details", {}, h("summary", {}, `All ${count(events.length)}`), h("ul", { class: "event-list" }, events.map(line)))];
}

function clockTime(at) {
  if (!at) return "";
  const moment = new Date(at * 1000);
  return [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map((each) => String(each).padStart(2, "0")).join(":");
}

function settingsPart(told) {
  const facts = [
    ["Job", told.job_id],
    ["Folder", told.folder],
    ...Object.entries(told.settings).map(([name, value]) => [words(name), typeof value === "object" ? JSON.stringify(value) : value]),
    ["Adapter", told.adapter],
    ...Object.entries(told.cost).map(([name, value]) => [name, count(value)]),
    ["Checkpoints", told.checkpoints.length ? told.checkpoints.map((each) => `step ${count(each.step)}`).join(", ") : null],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (facts.length === 0) return null;
  return h("details", {}, h("summary", {}, "Settings and files"), h("dl", { class: "facts" }, facts.map(([name, value]) => fact(name, value))));
}

// -- the evaluation

function evaluationPart(told) {
  return [
    h("h3", {}, "Answers compared with the base model's"),
    h("p", { class: "quiet" }, `${told.headline}, at most ${count(told.max_tokens)} tokens. Made ${ago(told.at)}.`),
    told.note && h("p", {}, told.note),
    h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Figures" }, h("table", { class: "shares" }, h("thead", {}, h("tr", {}, h("td", {}), h("th", {}, "base"), h("th", {}, "tuned"))), h("tbody", {}, told.figures.map(([what, ofBase, ofTuned]) => h("tr", {}, h("th", { scope: "row" }, what.trim()), h("td", { class: "number" }, ofBase), h("td", { class: "number" }, ofTuned))), told.shares.map(shareRow)))),
    h("p", { class: "quiet" }, "The bar is the 95 % interval, its mark the share. Where two bars do not overlap, the difference is beyond chance."),
    samplesPart(told),
  ];
}

function shareRow(each) {
  return h("tr", {}, h("th", { scope: "row" }, each.name), [each.base, each.tuned].map((share, side) => h("td", {}, share === undefined ? h("span", { class: "quiet" }, "–") : shareCell(share, side))));
}

function shareCell(share, side) {
  const [low, high] = share.interval;
  const range = h("span", { class: `range ${side ? "of-tuned" : "of-base"}` });
  const mark = h("span", { class: `range-mark ${side ? "of-tuned" : "of-base"}` });
  range.style.left = `${100 * low}%`;
  range.style.width = `${100 * (high - low)}%`;
  mark.style.left = `${100 * share.share}%`;
  const percent = (value) => `${Math.round(100 * value)} %`;
  return h("div", { class: "share" }, h("span", { class: "number" }, `${count(share.hits)}/${count(share.of)}`), h("span", { class: "number share-percent" }, percent(share.share)), h("span", { class: "track", role: "img", "aria-label": `95 % interval ${percent(low)} to ${percent(high)}` }, range, mark));
}

function samplesPart(told) {
  if (told.samples.length === 0) return null;
  // Of each question one: the others are further answers to the same.
  const firsts = told.samples.filter(({ prompt }, place) => told.samples.findIndex((each) => each.prompt === prompt) === place);
  const list = h("div", { class: "samples" }, firsts.slice(0, FEW_SAMPLES).map(sample));
  const isMore = told.samples.length > Math.min(firsts.length, FEW_SAMPLES);
  const more = isMore && h("button", { type: "button", onclick: () => (fill(list, told.samples.map(sample)), more.remove()) }, `All ${count(told.samples.length)} answers`);
  return [h("h3", {}, "Side by side"), list, more];
}

const sample = (each) =>
  h(
    "article",
    { class: "sample" },
    h("h4", { class: "asked-text" }, each.prompt),
    h("div", { class: "sample-sides" }, side("tuned", each.tuned), side("base", each.base), side("expected", each.expected === null ? null : { text: each.expected })),
  );

function side(title, answer) {
  const head = [h("h5", {}, title), answer?.stopped !== undefined && h("span", { class: `pill ${answer.stopped ? "good" : "warn"}` }, answer.stopped ? "stopped by itself" : endWords(answer.finish_reason))];
  const text = answer === null ? h("p", { class: "quiet" }, title === "expected" ? "no such row" : "not answered") : clean(answer.text).trim() === "" ? h("p", { class: "quiet" }, "an empty answer") : h("div", { class: "text" }, answer.text);
  return h("section", { class: `card of-${title}` }, h("div", { class: "card-head" }, head), text);
}

const endWords = (reason) => (reason === null || reason === undefined ? "no finish reason" : reason === "length" ? "cut off" : words(reason));
