// One row whole: each column with its prompt, answer, thoughts and figures; what failed; earlier answers; marks.
import { ask, clean, count, duration, fill, h, pill, post, trouble, words } from "./dom.js";
import { canMark } from "./server.js";

const SCORES = [1, 2, 3, 4, 5];

/** `isBeside`: one of several that stand side by side, of the same cell. */
export function rowPanel(base, { close, changed, step, repeats }, { isBeside = false } = {}) {
  const element = isBeside ? h("div", { class: "row-panel in-grid", role: "group", "aria-label": "Row", hidden: true }) : h("aside", { class: "row-panel", "aria-label": "Row", hidden: true });
  let about = null;
  let row = null;
  let current = 0; // which call the keys mark
  let asked = 0;

  async function show(number) {
    const mine = (asked += 1);
    try {
      const told = await ask(`${base}/row/${number}`);
      if (mine !== asked) return;
      row = told;
      // The keys mark the last text, as the list shows it; what a judge says of it is marked with a click.
      const answers = answersOf(row);
      const markable = (place) => row.calls[place].answer !== undefined;
      const isText = (place) => markable(place) && (answers[place].value ?? null) === null;
      const places = row.calls.map((_, place) => place);
      current = places.findLast(isText) ?? places.findLast(markable) ?? 0;
      draw();
      element.scrollTop = 0;
    } catch (error) {
      if (mine !== asked) return;
      row = null;
      fill(element, head(number), trouble(error));
    }
    element.hidden = false;
    if (!isBeside) element.parentElement?.classList.add("beside");
  }

  const head = (number, state) =>
    h(
      "div",
      { class: "row-head" },
      h(isBeside ? "h3" : "h2", {}, `Row ${count(number)}`),
      state,
      h("span", { class: "grow" }),
      !isBeside && headButtons(),
    );

  const headButtons = () => [
    repeats && about?.repeats > 1 && h("button", { type: "button", onclick: repeats }, "Beside its repeats"),
    h("button", { type: "button", onclick: () => step(-1), "aria-label": "Previous row" }, "↑"),
    h("button", { type: "button", onclick: () => step(1), "aria-label": "Next row" }, "↓"),
    h("button", { type: "button", onclick: close, "aria-label": "Close" }, "×"),
  ];

  function draw() {
    const answers = answersOf(row);
    const accepted = row.accepted === undefined || row.accepted === null ? null : h("span", { class: `pill ${row.accepted ? "good" : "warn"}` }, row.accepted ? "accepted" : "not accepted");
    fill(
      element,
      head(row.index, [pill(row.state), accepted]),
      !isBeside && h(
        "dl",
        { class: "cell" },
        Object.entries(row.cell).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
        h("div", {}, h("dt", {}, "repeat"), h("dd", {}, row.repeat)),
      ),
      row.calls.map((call, place) => answerCard(call, answers[place], place)),
      !isBeside && canMark && versions(),
    );
  }

  function answerCard(call, answer, place) {
    const column = about?.columns.find(({ name }) => call.name === name || call.name.startsWith(`${name}.`));
    const title = about?.has_columns || row.calls.length > 1 ? call.name : "Answer";
    const failure = row.failures[call.name];
    const message = h("div", {});
    const body = [
      h(
        "div",
        { class: "card-head" },
        h("h3", {}, title),
        answer && answer.finish_reason !== "stop" && h("span", { class: "pill warn" }, answer.finish_reason ?? "no finish reason"),
        answer?.repaired && h("span", { class: "pill" }, "JSON repaired"),
        answer?.near_copy && h("span", { class: "pill warn" }, "near copy"),
        column?.form && h("span", { class: "quiet" }, "has a form"),
      ),
      answer?.prompt && folded("Prompt", text(answer.prompt)),
      answer?.reasoning && folded("Reasoning", text(answer.reasoning)),
    ];
    if (answer) {
      const edit = call.marks?.edit;
      if (edit !== undefined) body.push(h("p", { class: "label" }, "Edited"), text(edit), folded("Original answer", answerText(answer)));
      else body.push(answerText(answer));
      if (answer.extra) body.push(folded("Rest of the message", json(answer.extra)));
      body.push(figures(answer));
      if (call.answer !== undefined) body.push(marks(call, answer, place, message), message);
    } else {
      body.push(h("p", { class: "quiet" }, row.missing[call.name] ?? "no answer"));
      if (failure) body.push(failed(failure));
    }
    return h("section", { class: `card ${place === current ? "current" : ""}`, "data-place": place, onclick: () => pick(place) }, body);
  }

  function pick(place) {
    if (row.calls[place].answer === undefined || current === place) return;
    current = place;
    for (const card of element.querySelectorAll(".card")) card.classList.toggle("current", Number(card.dataset.place) === place);
  }

  function marks(call, answer, place, message) {
    const has = call.marks ?? {};
    if (!canMark) return Object.keys(has).length > 0 && h("div", { class: "marks" }, markSigns(has), has.note && h("p", { class: "note" }, has.note));
    const button = (told, kind, isOn, onclick) => h("button", { type: "button", class: isOn ? `on ${kind}` : "", "aria-pressed": String(isOn), onclick }, told);
    return h(
      "div",
      { class: "marks", role: "group", "aria-label": `Marks of ${call.name}` },
      button("Good", "good", has.verdict === "good", () => judge(place, "good")),
      button("Bad", "bad", has.verdict === "bad", () => judge(place, "bad")),
      h("span", { class: "scores", role: "group", "aria-label": "Score" }, SCORES.map((score) => button(score, "score", has.score === score, () => grade(place, score)))),
      h("button", { type: "button", class: has.note ? "on" : "", onclick: () => write(place, "note") }, has.note ? "Note ✓" : "Note"),
      h("button", { type: "button", class: has.edit !== undefined ? "on" : "", onclick: () => write(place, "edit") }, has.edit !== undefined ? "Edited ✓" : "Edit"),
      has.note && h("p", { class: "note" }, has.note),
    );
  }

  // What is set already is taken back.
  const judge = (place, verdict) => set(place, row.calls[place].marks?.verdict === verdict ? "clear" : verdict, null);
  const grade = (place, score) => set(place, "score", row.calls[place].marks?.score === score ? null : score);

  async function set(place, kind, value) {
    const call = row.calls[place];
    if (call?.answer === undefined) return false;
    try {
      const told = await post(`${base}/marks`, { row: row.index, call: call.name, answer: call.answer, mark: kind, value });
      call.marks = told.marks;
      draw();
      changed();
      return true;
    } catch (error) {
      const card = element.querySelector(`.card[data-place="${place}"]`);
      card?.append(trouble(error));
      return false;
    }
  }

  function write(place, kind) {
    const call = row.calls[place];
    if (call?.answer === undefined) return;
    const held = kind === "note" ? (call.marks?.note ?? "") : (call.marks?.edit ?? answersOf(row)[place].response_txt);
    const card = element.querySelector(`.card[data-place="${place}"]`);
    card.querySelector(".writing")?.remove();
    const area = h("textarea", { rows: kind === "note" ? 3 : 12, "aria-label": kind === "note" ? "Note" : "Edited answer", value: held });
    const form = h(
      "form",
      {
        class: "writing",
        onsubmit: (event) => {
          event.preventDefault();
          set(place, kind, area.value);
        },
      },
      area,
      h("div", { class: "marks" }, h("button", { type: "submit", class: "main" }, "Save"), h("button", { type: "button", onclick: () => form.remove() }, "Cancel"), kind === "edit" && call.marks?.edit !== undefined && h("button", { type: "button", onclick: () => set(place, "edit", null) }, "Remove the edit")),
      h("p", { class: "quiet" }, kind === "edit" ? "The answer stays as it is in the journal; the edit stands beside it. Ctrl+Enter saves." : "Ctrl+Enter saves."),
    );
    area.addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && form.requestSubmit());
    card.append(form);
    area.focus();
    form.scrollIntoView({ block: "nearest" });
  }

  function versions() {
    const place = h("div", {});
    const button = h(
      "button",
      {
        type: "button",
        onclick: async () => {
          button.disabled = true;
          try {
            const told = await ask(`${base}/row/${row.index}/versions`);
            fill(place, told.versions.length === 0 ? h("p", { class: "quiet" }, "This row has no other answers.") : told.versions.map(version));
          } catch (error) {
            fill(place, trouble(error));
          }
        },
      },
      "Other answers of this row",
    );
    return h("div", { class: "versions" }, button, place);
  }

  return {
    element,
    show,
    cell: () => row?.cell,
    about(told) {
      about = told;
      if (row !== null) draw();
    },
    hide() {
      asked += 1;
      row = null;
      element.hidden = true;
      element.parentElement?.classList.remove("beside");
      fill(element);
    },
    key(event) {
      if (event.key === "Escape") return element.querySelector(".writing")?.remove();
      if (!canMark || row === null || row.calls[current]?.answer === undefined) return undefined;
      const does = {
        g: () => judge(current, "good"),
        b: () => judge(current, "bad"),
        n: () => write(current, "note"),
        e: () => write(current, "edit"),
        0: () => set(current, "score", null),
      };
      for (const score of SCORES) does[score] = () => grade(current, score);
      const action = does[event.key.toLowerCase()];
      if (action === undefined) return undefined;
      event.preventDefault();
      return action();
    },
  };
}

/** What was said of an answer, in short. */
export const markSigns = (mark) => [
  mark.verdict && h("span", { class: `pill ${mark.verdict}` }, mark.verdict),
  mark.score !== undefined && h("span", { class: "pill" }, `${mark.score}/5`),
  mark.edit !== undefined && h("span", { class: "pill" }, "edited"),
  mark.note !== undefined && h("span", { class: "pill" }, "note"),
];

/** The answers of a row in the order of its calls. */
const answersOf = (row) => Object.values(row.columns).flat();
const text = (said) => h("div", { class: "text" }, said);
const json = (value) => h("pre", { class: "text" }, JSON.stringify(value, null, 2));
const folded = (title, content) => h("details", {}, h("summary", {}, title), content);

function answerText(answer) {
  const value = answer.value;
  if (value !== null && typeof value === "object") {
    return h(
      "div",
      {},
      h("dl", { class: "fields" }, Object.entries(value).map(([name, each]) => h("div", {}, h("dt", {}, name), h("dd", {}, typeof each === "object" && each !== null ? json(each) : each === null ? "null" : String(each))))),
      folded("As JSON", json(value)),
    );
  }
  return clean(answer.response_txt).trim() === "" ? h("p", { class: "quiet" }, answer.extra ? "no text" : "an empty answer") : text(answer.response_txt);
}

function figures(answer) {
  const usage = answer.usage ?? {};
  const found = [
    answer.model,
    usage.prompt_tokens !== undefined && `${count(usage.prompt_tokens)} + ${count(usage.completion_tokens ?? 0)} tokens`,
    duration(answer.latency_ms / 1000),
    answer.attempts > 1 && `${count(answer.attempts)} attempts`,
    answer.created_at && String(answer.created_at).slice(0, 19).replace("T", " "),
    answer.request_id,
  ];
  return h("p", { class: "quiet figures" }, found.filter(Boolean).map((each) => h("span", {}, each)));
}

function failed(failure) {
  const attempts = Array.isArray(failure.attempts) ? failure.attempts : [];
  return h(
    "div",
    { class: "trouble" },
    h("strong", {}, words(failure.kind)),
    failure.status && ` (HTTP ${failure.status})`,
    h("div", { class: "text" }, failure.message),
    failure.reason && h("p", {}, failure.reason),
    attempts.length > 1 && folded(`${count(attempts.length)} attempts`, h("ol", {}, attempts.map((each) => h("li", {}, `${words(each.kind)}: ${each.message}`)))),
    failure.response_txt && folded("What came instead", text(failure.response_txt)),
  );
}

const version = (line) =>
  h(
    "section",
    { class: "card" },
    h("div", { class: "card-head" }, h("h3", {}, line.name), line.wrong_form && h("span", { class: "pill warn" }, "does not fit the form"), line.near_copy && h("span", { class: "pill warn" }, "near copy")),
    line.wrong_form && h("p", {}, line.wrong_form),
    folded("Prompt", text(line.prompt)),
    text(line.response_txt),
    figures(line),
  );
