// Control of a run that is at work: what `ctl` can, each control with what it will do, or why it can't now.
import { ago, ask, count, counted, duration, fill, h, post, rate, say, sentence, trouble } from "./dom.js";
import { polling } from "./polling.js";

const EVERY_MS = 1000;
const SELDOM_MS = 4000; // of a run that nobody is working on
const PROTOCOL = 1;
const STATES = {
  running: ["running", "going", "It sends requests."],
  paused: ["paused", "warn", "It sends nothing until you resume it."],
  draining: ["draining", "warn", "It sends nothing more, and ends once the calls in flight are answered."],
  asleep: ["asleep", "warn", "It waits for a limit to reset or for its server, then continues by itself."],
  "not asking": ["starting or ending", "", "It sends no calls now. Try again in a moment."],
};
const calls = (many) => counted(many, "call");

export function controlView(place, base) {
  let told = null; // what the server says of the controls
  let report = null;
  let column = ""; // whose limits are shown; "" for those of all
  let ended = false;
  let sending = false;
  let seen = "";

  const state = h("p", { class: "control-state", role: "status" }, h("span", { class: "quiet" }, "Asking the run"));
  const refusal = h("div", { "aria-live": "polite" });
  const pause = action("Pause", () => send({ do: at("paused") ? "resume" : "pause" }));
  const drain = action("Drain", () => confirmed(drainDialog));
  const actions = h("div", { class: "controls" }, pause.element, drain.element);
  const rows = h("div", { class: "controls" });
  const apply = h("button", { class: "main", type: "submit" }, "Apply");
  const revert = h("button", { type: "button", onclick: () => reset() }, "Revert");
  const whose = h("div", {});
  const form = h(
    "form",
    { class: "panel", onsubmit: (event) => (event.preventDefault(), set()), novalidate: true, "aria-label": "Limits" },
    h("h2", {}, "Limits"),
    h("p", { class: "quiet" }, "They hold at once, and also when the run is resumed."),
    whose,
    rows,
    h("div", { class: "control-buttons" }, apply, revert),
  );
  const changes = h("section", { class: "panel" });
  const outOf = h("strong", {});
  const drainDialog = h(
    "dialog",
    { class: "ask", "aria-labelledby": "drain-title" },
    h("h2", { id: "drain-title" }, "Drain this run?"),
    h("p", {}, "It sends nothing more. ", outOf, " Then the run ends, and its process with it."),
    h("p", {}, "Nothing is lost, and it can be continued from a terminal:"),
    h("p", {}, h("code", { class: "command" })),
    h(
      "div",
      { class: "control-buttons" },
      h("button", { class: "main", type: "button", onclick: () => (drainDialog.close(), send({ do: "drain" })) }, "Drain and end the run"),
      h("button", { type: "button", autofocus: true, onclick: () => drainDialog.close() }, "Keep it running"),
    ),
  );
  fill(place, refusal, h("section", { class: "panel" }, h("h2", {}, "Sending"), state, actions), form, changes, drainDialog);

  const at = (name) => told?.at_work?.state === name;
  const fields = new Map(); // by the setting's name

  // -- what can be done, and what it would do

  function action(title, run) {
    const words = h("span", {}, title);
    const effect = h("p", { class: "quiet effect" });
    const button = h("button", { type: "button", "aria-disabled": "true", onclick: () => button.getAttribute("aria-disabled") === null && run() }, words);
    effect.id = `effect-${title.toLowerCase()}`;
    button.setAttribute("aria-describedby", effect.id);
    return {
      element: h("div", { class: "control action" }, button, effect),
      button,
      /** `why`: why it can't be done now, "" where it can. */
      show(name, what, why) {
        say(words, name);
        say(effect, why || what);
        if (why) button.setAttribute("aria-disabled", "true");
        else button.removeAttribute("aria-disabled");
      },
    };
  }

  function draw() {
    const run = told.at_work;
    // Another user's, or one without a socket yet: `why` says which.
    const isOutOfReach = run === null && report?.state === "running";
    const [name, kind, words] = STATES[run?.state] ?? [isOutOfReach ? "out of reach" : "not at work", "", ""];
    const out = run?.in_flight ?? 0;
    const key = JSON.stringify([name, run === null ? told.why : [words, out, run?.done, run?.failed, run?.total]]);
    if (key !== seen) {
      seen = key;
      if (run === null) fill(state, h("span", { class: "pill" }, name), " ", sentence(told.why), told.fix && [" ", h("span", { class: "quiet" }, sentence(told.fix))]);
      else fill(state, h("span", { class: `pill ${kind}` }, name), " ", words, " ", h("span", { class: "quiet figures-line" }, figures(run)));
    }
    const busy = sending ? "Waiting for the run's reply." : "";
    const gone = run !== null ? "" : isOutOfReach ? "It can't be reached, as said above." : "Nothing to control: the run is not at work.";
    const idle = gone || (at("asleep") && "It is asleep: there is nothing to pause.") || (at("draining") && "It is ending.") || (at("not asking") && "It is starting or ending.") || "";
    if (at("paused")) pause.show("Resume", `Sends requests again. ${count(Math.max((run.total ?? 0) - (run.done ?? 0) - (run.failed ?? 0), 0))} are left.`, busy);
    else pause.show("Pause", out === 0 ? "Stops sending until you resume it. No call is in flight." : `Stops sending until you resume it. ${calls(out)} in flight ${out === 1 ? "is" : "are"} still answered and kept.`, busy || idle);
    drain.show("Drain", at("asleep") ? "Ends the wait and the run. It can be resumed." : "Sends nothing more, waits for the calls in flight, then ends the run. It can be resumed.", busy || gone || (at("draining") && "It is draining already.") || (at("not asking") && "It is starting or ending.") || "");
    drawLimits(busy || idle);
  }

  const figures = (run) => (run.total === undefined ? "" : `${count(run.done)} of ${count(run.total)} calls done, ${count(run.failed)} failed, ${count(run.in_flight)} in flight.`);

  // -- limits

  const current = (name) => {
    const run = told.at_work;
    if (run === null) return undefined;
    return column === "" ? run[name] : run.by_column?.[column]?.[name];
  };
  const shown = (value) => (value === null ? "none" : String(value));

  function drawLimits(why) {
    if (fields.size === 0) makeFields();
    for (const [name, field] of fields) {
      const value = current(name);
      const inherited = value === undefined && told.at_work !== null;
      // What somebody is about to change stays as it was typed.
      if (!field.isTouched) field.input.value = value === undefined ? "" : shown(value);
      field.input.placeholder = inherited ? `as for all: ${shown(told.at_work[name])}` : "";
      field.input.readOnly = why !== "";
      field.input.setAttribute("aria-disabled", String(why !== ""));
      const read = readField(name, field);
      field.input.setAttribute("aria-invalid", String(read.wrong !== undefined));
      field.effect.classList.toggle("bad-text", read.wrong !== undefined);
      say(field.effect, why || read.wrong || (read.changed ? effects[name]?.(read.value, value ?? told.at_work[name]) ?? "" : now(name, value, inherited)));
    }
    const wanted = [...fields].map(([name, field]) => readField(name, field));
    const ready = why === "" && wanted.some((each) => each.changed) && !wanted.some((each) => each.wrong);
    if (ready) apply.removeAttribute("aria-disabled");
    else apply.setAttribute("aria-disabled", "true");
    revert.hidden = ![...fields.values()].some((field) => field.isTouched);
  }

  function makeFields() {
    for (const each of told.settings) {
      const effect = h("p", { class: "quiet effect", id: `effect-${each.name}` });
      const input = h("input", {
        id: `set-${each.name}`,
        inputmode: "decimal",
        autocomplete: "off",
        spellcheck: "false",
        maxlength: 20,
        "aria-describedby": effect.id,
        oninput: () => {
          fields.get(each.name).isTouched = true;
          draw();
        },
      });
      fields.set(each.name, { input, effect, isTouched: false, setting: each });
    }
    fill(
      rows,
      [...fields.values()].map(({ input, effect, setting }) =>
        h("div", { class: "control" }, h("label", { for: input.id }, h("span", { class: "setting-name" }, setting.word), input, h("span", { class: "quiet unit" }, setting.unit.replace("/", " / "))), effect),
      ),
    );
    if (told.columns.length > 1)
      fill(
        whose,
        h(
          "label",
          { class: "whose" },
          h("span", {}, "Limits of"),
          h("select", { onchange: (event) => choose(event.target.value) }, h("option", { value: "" }, "all columns without their own"), told.columns.map((each) => h("option", { value: each }, each))),
        ),
      );
  }

  function choose(name) {
    column = name;
    reset();
  }

  function reset() {
    for (const field of fields.values()) field.isTouched = false;
    fill(refusal);
    draw();
  }

  /** What is typed: `changed` with its `value`, or `wrong` with why. */
  function readField(name, field) {
    const text = field.input.value.trim().toLowerCase().replaceAll(",", "");
    const before = current(name);
    if (!field.isTouched || told.at_work === null) return { changed: false };
    if (text === "" && before === undefined) return { changed: false };
    if (text === "" || text === "none") {
      if (!field.setting.may_be_none) return { changed: false, wrong: "Give a whole number." };
      return { changed: before !== null, value: null };
    }
    if (text === "auto" && before === "auto") return { changed: false };
    if (text === "auto" && name === "concurrency") return { changed: false, wrong: `Only at a start: drain the run, then herogen-async resume ${told.argument} --concurrency auto` };
    const value = Number(text);
    if (!Number.isFinite(value) || value <= 0 || (name === "concurrency" && !Number.isInteger(value))) {
      return { changed: false, wrong: name === "concurrency" ? "Give a whole number above zero." : "Give a number above zero, or none for no limit." };
    }
    return { changed: value !== before, value };
  }

  const left = () => {
    if (report === null) return 0;
    const of = report.calls;
    return of === undefined ? Math.max(report.total - report.done - report.failed, 0) : Math.max(of.total - of.done - (of.skipped ?? 0) - (of.not_asked ?? 0), 0);
  };

  function now(name, value, inherited) {
    if (told.at_work === null) return "";
    if (inherited) return "No limit of its own.";
    if (name === "concurrency") return value === "auto" ? "The run finds the best number by itself. A number here ends that." : `At most ${calls(value)} in flight at once.`;
    if (value === null) return "No limit of yours. The server's own limits still hold.";
    return name === "rpm" ? `At most ${count(value)} requests a minute, ${rate(value / 60)} per second.` : `At most ${count(value)} tokens a minute.`;
  }

  const effects = {
    concurrency(value, before) {
      if (before === "auto") return `At most ${calls(value)} in flight. The run no longer finds the number by itself; for that, drain it and resume with --concurrency auto.`;
      return value > before
        ? `Up to ${calls(value)} in flight instead of ${count(before)}, at once. A server that can't take them refuses or slows down.`
        : `At most ${calls(value)} in flight instead of ${count(before)}. Those in flight are still answered.`;
    },
    rpm(value) {
      if (value === null) return "No limit of yours: as fast as the concurrency and the server's own limits permit.";
      const many = column === "" && told.columns.length < 2 ? left() : 0;
      const least = many > 0 ? ` The ${count(many)} requests that are left take at least ${duration((60 * many) / value)}.` : "";
      return `At most ${count(value)} requests a minute, ${rate(value / 60)} per second.${least}`;
    },
    tpm(value) {
      if (value === null) return "No limit of yours: as fast as the concurrency and the server's own limits permit.";
      const used = report?.state === "running" && column === "" ? ` The run uses ${count(60 * report.tokens_per_s)} a minute now.` : "";
      return `At most ${count(value)} tokens a minute.${used}`;
    },
  };

  function set() {
    if (apply.getAttribute("aria-disabled") !== null) return undefined;
    const wanted = {};
    for (const [name, field] of fields) {
      const read = readField(name, field);
      if (read.changed) wanted[name] = read.value;
    }
    return send({ do: "set", ...(column === "" ? { settings: wanted } : { by_column: { [column]: wanted } }) });
  }

  // -- the run

  function confirmed(dialog) {
    const out = told.at_work?.in_flight ?? 0;
    say(outOf, out === 0 ? "No call is in flight." : `${calls(out)} in flight ${out === 1 ? "is" : "are"} still answered and kept.`);
    say(dialog.querySelector(".command"), `herogen-async resume ${told.argument}`);
    dialog.showModal();
  }

  async function send(command) {
    if (sending) return;
    sending = true;
    draw();
    try {
      told.at_work = (await post(`${base}/control`, { v: PROTOCOL, ...command })).at_work;
      sending = false;
      if (command.do === "set") for (const field of fields.values()) field.isTouched = false;
      fill(refusal);
      drawChanges();
    } catch (error) {
      fill(refusal, trouble(error));
    }
    sending = false;
    if (!ended) draw();
  }

  async function look() {
    if (!sending) {
      try {
        const fresh = await ask(`${base}/control`);
        if (ended) return null;
        if (!sending) {
          const isNew = told === null || said(fresh) !== said(told);
          told = fresh;
          draw();
          if (isNew) drawChanges();
        }
      } catch {
        // The head says what is wrong.
      }
    }
    return told?.at_work === null ? SELDOM_MS : EVERY_MS;
  }

  const said = ({ at_work: run }) => JSON.stringify(run && [run.state, run.concurrency, run.rpm, run.tpm, run.by_column]);

  async function drawChanges() {
    try {
      const { changes: found } = await ask(`${base}/control/changes`);
      fill(
        changes,
        h("h2", {}, "Changes"),
        found.length === 0
          ? h("p", { class: "quiet" }, "Nothing has been changed while this run was at work.")
          : h("ol", { class: "changes" }, found.map((each) => h("li", {}, h("span", {}, change(each)), h("time", { class: "quiet", datetime: each.at }, ago(Date.parse(each.at) / 1000))))),
      );
    } catch {
      // As above.
    }
  }

  const looking = polling(look);
  return {
    report(moment) {
      report = moment.report;
      if (told !== null) draw();
    },
    end() {
      ended = true;
      looking.end();
      drainDialog.remove();
    },
  };
}

function change({ what, old, new: value, column }) {
  if (what === "paused") return value ? "Paused" : "Resumed";
  if (what === "draining") return "Drained";
  const of = column === undefined ? what : `${what} of ${column}`;
  const read = (each) => (each === null || each === undefined ? "no limit" : typeof each === "number" ? count(each) : each);
  return `${of} from ${read(old)} to ${read(value)}`;
}
