// The playground: a question to a model of this run, as it was taught, and several answers that grow side by side.
import { questionBlock } from "./answers.js";
import { ask, count, fill, h, post, say, sentence, trouble, usd } from "./dom.js";
import { postForLines } from "./server.js";

const OTHER = "\u0000other"; // the choice of a value that is not in the list; no value is that
const LOOK_AFTER_MS = 200;
const MOST_KEPT = 12; // questions with their answers, on the page and through a reload
const MOST_KEPT_CHARS = 400_000;

export function playgroundView(place, base, home, name) {
  const address = `${base}/playground`;
  let models = [];
  let model = null;
  let sending = null; // what stops the question that is being asked
  let looked = 0;
  let timer = null;
  let isEnded = false;

  const choose = h("select", { "aria-label": "Model", onchange: () => use(models.find(({ id }) => id === choose.value)) });
  const about = h("p", { class: "quiet about-model" });
  const cells = h("div", { class: "ask-cells" });
  const text = h("textarea", { rows: 3, maxlength: 100_000, spellcheck: "false", oninput: () => later(() => look(text.value)) });
  const sent = h("p", { class: "quiet sent" });
  const system = h("div", {});
  const numbers = h("div", { class: "ask-numbers" });
  const samples = number("samples", 1, 1, 8, 1);
  const temperature = number("temperature", 0.7, 0, 2, 0.1);
  const tokens = number("max_tokens", 256, 1, 8192, 1);
  const compare = h("input", { type: "checkbox", onchange: () => price() });
  const compareLabel = h("label", { class: "ask-compare" }, compare, h("span", {}, "beside its base model"));
  const costs = h("p", { class: "quiet costs" });
  const go = h("button", { type: "submit", class: "main" }, "Ask");
  const stop = h("button", { type: "button", disabled: true, onclick: () => sending?.abort() }, "Stop");
  const status = h("span", { class: "quiet ask-status", role: "status" });
  const message = h("div", { class: "ask-message" });
  const form = h(
    "form",
    { class: "panel ask-form", onsubmit: (event) => (event.preventDefault(), send()), onkeydown: keys },
    h("label", { class: "ask-label" }, h("span", {}, "Model"), choose),
    about,
    cells,
    h("label", { class: "ask-label" }, h("span", {}, "Question"), text),
    sent,
    system,
    numbers,
    h("div", { class: "ask-buttons" }, go, stop, status),
    costs,
    message,
  );
  const past = h("div", { class: "asked-list" });
  const nothing = h("div", { class: "empty" }, h("p", {}, "No questions yet."), h("p", {}, "Answers appear here while the model writes them. ", h("kbd", {}, "Ctrl"), " + ", h("kbd", {}, "Enter"), " asks."));
  fill(numbers, labelled("Samples", samples), labelled("Temperature", temperature), labelled("Max tokens", tokens), compareLabel);
  const split = h("div", { class: "ask-split is-loading" }, form, h("section", { class: "asked", "aria-label": "Answers" }, nothing, past));
  fill(place, split);

  function number(key, value, min, max, step) {
    return h("input", { type: "number", name: key, value, min, max, step, required: true, inputmode: "decimal", oninput: () => price() });
  }
  // -- the question

  const cell = () => Object.fromEntries([...cells.querySelectorAll("[data-name]")].map((each) => [each.dataset.name, valueOf(each)]));
  const valueOf = (each) => {
    const list = each.querySelector("select");
    return list === null || list.value === OTHER ? each.querySelector("input").value : list.value;
  };

  function use(chosen) {
    const before = model === null ? {} : cell();
    model = chosen;
    choose.value = model.id;
    const optional = new Set(model.optional);
    fill(cells, Object.entries(model.attributes).map(([each, values]) => attribute(each, values, optional.has(each), before[each])));
    cells.hidden = Object.keys(model.attributes).length === 0;
    temperature.value = model.temperature;
    tokens.value = model.max_tokens;
    compareLabel.hidden = model.base === null;
    compare.checked = model.base !== null && model.is_here; // at a service it is paid twice
    const isFirst = models.every(({ id }) => id === "run");
    fill(about, whereIt(model), isFirst && [" No model was tuned on its rows yet: ", h("a", { href: `${home}/tune` }, "Tune"), " shows how."]);
    fill(message, model.problem && trouble({ message: sentence(model.problem.error), fix: `${model.problem.fix ?? ""}, then start herogen-async view again.` }));
    ready();
    if (cells.hidden) look(text.value);
    else look();
  }

  function attribute(each, values, isOptional, held) {
    const isKnown = held === undefined || values.includes(held);
    const typed = h("input", { type: "text", "aria-label": `${each}, another value`, maxlength: 1000, value: isKnown ? "" : held, oninput: () => later(() => look()) });
    const changed = () => {
      const isOther = list.value === OTHER;
      typed.hidden = !isOther;
      list.hidden = isOther;
      back.hidden = !isOther;
      if (isOther) typed.focus();
      look();
    };
    const list = h(
      "select",
      { "aria-label": each, onchange: changed },
      isOptional && h("option", { value: "" }, "none"),
      values.map((value) => h("option", { value }, shortened(value))),
      h("option", { value: OTHER }, "another value …"),
    );
    const back = h("button", { type: "button", "aria-label": `${each}: choose from the list`, onclick: () => ((list.value = values[0] ?? ""), changed(), list.focus()) }, "↺");
    const isFree = values.length === 0;
    if (!isFree) list.value = isKnown ? (held ?? values[0]) : OTHER;
    const shows = isFree || !isKnown;
    typed.hidden = !shows;
    list.hidden = shows;
    back.hidden = isFree || !shows;
    return h("div", { class: "ask-label", "data-name": each }, h("span", { class: "attribute-name" }, each), h("div", { class: "ask-value" }, isFree ? null : list, typed, back));
  }

  function later(what) {
    clearTimeout(timer);
    timer = setTimeout(what, LOOK_AFTER_MS);
  }

  /** How the question will be sent: that of the attributes, or the words that were typed. */
  async function look(words) {
    clearTimeout(timer);
    const mine = (looked += 1);
    if (model === null) return;
    if (words !== undefined && words.trim() === "") return shown(null);
    const values = cell();
    const empty = Object.keys(values).find((each) => values[each] === "" && !model.optional.includes(each));
    if (words === undefined && empty !== undefined) return shown(null, new Error(`Type a value for ${empty}`));
    try {
      const told = await post(`${address}/question`, { model: model.id, cell: values, ...(words === undefined ? {} : { text: words }) });
      if (mine !== looked || isEnded) return;
      if (words === undefined) text.value = told.text;
      shown(told);
    } catch (error) {
      if (mine === looked && !isEnded) shown(null, error);
    }
  }

  let lastTokens = null;
  function shown(told, error) {
    lastTokens = told?.tokens ?? null;
    const isChanged = told !== null && told.sent !== told.text;
    if (error) fill(sent, h("span", { class: "bad-text" }, `${sentence(error.message)} ${error.fix ? sentence(error.fix) : ""}`));
    else if (told === null) fill(sent, "Type a question.");
    else fill(sent, isChanged ? ["Sent as ", h("code", { class: "sent-text" }, told.sent), model.ending ? [", and ends at ", h("code", {}, model.ending.trim())] : null] : "Sent as it stands.");
    split.classList.remove("is-loading"); // what has its place now stays there
    fill(system, told?.system && h("details", {}, h("summary", {}, "System text"), h("div", { class: "text" }, told.system)));
    price();
  }

  /** What it may take at most, before it is asked. */
  function price() {
    if (model === null) return;
    const asks = Number(samples.value) * (compare.checked ? 2 : 1);
    const most = asks * Number(tokens.value);
    const prompt = lastTokens === null ? null : asks * lastTokens;
    const much = prompt === null ? "" : `About ${count(prompt)} tokens of prompt, and ${count(most)} of answers at most`;
    if (model.is_here) say(costs, much ? `${much}. Free: this machine computes them.` : "Free: this machine computes.");
    else if (model.price === null) say(costs, much ? `${much}. The price is not known.` : "The price is not known.");
    else if (prompt === null) say(costs, `${model.price.input_usd} USD in, ${model.price.output_usd} USD out, per million tokens.`);
    else say(costs, `${much}: at most ${usd((prompt * model.price.input_usd + most * model.price.output_usd) / 1e6)}.`);
  }

  function ready() {
    const isAsking = sending !== null;
    const held = document.activeElement;
    stop.disabled = !isAsking;
    if (held === go && isAsking) stop.focus(); // who asks with a key can stop with it
    go.disabled = isAsking || model === null || model.problem !== null;
    if (held === stop && !isAsking) go.focus();
  }

  // -- asking

  function keys(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit();
    }
  }

  async function send() {
    if (sending !== null || model === null || model.problem !== null) return;
    const asked = {
      model: model.id,
      name: model.name,
      base: compare.checked ? model.base : null,
      text: text.value,
      samples: Number(samples.value),
      temperature: Number(temperature.value),
      max_tokens: Number(tokens.value),
      compare: compare.checked,
      cell: cell(),
    };
    if (asked.text.trim() === "") return text.focus();
    sending = new AbortController();
    fill(message);
    say(status, model.is_here ? "Starting the model" : "Asking");
    ready();
    const block = questionBlock(asked);
    nothing.hidden = true;
    past.prepend(block.element);
    let done = 0;
    const total = asked.samples;
    let failed = null;
    try {
      for await (const event of postForLines(address, asked, sending.signal)) {
        if (event.event === "asking") say(status, "Asking");
        else if (event.event === "notice") say(status, sentence(event.text));
        else if (event.event === "text") {
          say(status, total > 1 ? `Answering, ${count(done)} of ${count(total)} done` : "Answering");
          block.grow(event);
        } else if (event.event === "reply") {
          done += 1;
          block.reply(event);
          if (done < total) say(status, `Answering, ${count(done)} of ${count(total)} done`);
        } else if (event.event === "error") failed = inSentences({ message: event.error, fix: event.fix });
      }
      say(status, failed ? "Not answered" : "Done");
    } catch (error) {
      if (error.name === "AbortError") say(status, "Stopped");
      else {
        failed = inSentences(error);
        say(status, "Not answered");
      }
    }
    sending = null;
    if (isEnded) return;
    block.end(failed);
    if (block.isEmpty()) {
      block.element.remove();
      nothing.hidden = past.childElementCount > 0;
    }
    fill(message, failed && trouble(failed));
    keep();
    ready();
  }

  // -- what was asked stays through a reload, in this tab alone

  const key = `asked ${name}`;
  function keep() {
    while (past.childElementCount > MOST_KEPT) past.lastElementChild.remove();
    const kept = [...past.children].map((each) => each.told);
    try {
      while (JSON.stringify(kept).length > MOST_KEPT_CHARS) kept.pop();
      sessionStorage.setItem(key, JSON.stringify(kept));
    } catch {
      // Without it a reload begins anew.
    }
  }
  function restore() {
    try {
      for (const told of JSON.parse(sessionStorage.getItem(key)) ?? []) {
        const block = questionBlock(told.asked);
        for (const reply of told.replies) block.reply(reply);
        block.regrow(told.rest ?? []);
        block.end(null);
        past.append(block.element);
      }
    } catch {
      // As above.
    }
    nothing.hidden = past.childElementCount > 0;
  }

  (async () => {
    fill(about, "Reading the run's models");
    restore();
    const told = await ask(address);
    if (isEnded) return;
    ({ models } = told);
    fill(choose, models.map((each) => h("option", { value: each.id }, titleOf(each))));
    samples.max = told.most.samples;
    tokens.max = told.most.max_tokens;
    temperature.max = told.most.temperature;
    use(models[0]);
  })().catch((error) => {
    if (isEnded) return;
    split.classList.remove("is-loading");
    fill(about);
    fill(message, trouble(error));
  });
  ready();

  return {
    report() {},
    end() {
      isEnded = true;
      clearTimeout(timer);
      sending?.abort();
    },
  };
}

const labelled = (title, input) => h("label", { class: "ask-label" }, h("span", {}, title), input);

const inSentences = (error) => Object.assign(new Error(sentence(error.message)), { fix: error.fix && sentence(error.fix) });

const titleOf = (model) => (model.id === "run" ? `${model.name} answered this run` : `Fine-tune ${model.id}: ${model.name}`);
const shortened = (value) => (value.length > 60 ? `${value.slice(0, 59)}…` : value);

function whereIt(model) {
  const where = model.is_here ? "on this machine" : (model.base_url ?? "on this machine");
  if (model.id === "run") return `Asked as this run asks it, ${where}.`;
  return `Tuned from ${model.base === "embedded" ? "the embedded model" : (model.base ?? "an unknown model")}; asked as it was taught, ${where}.`;
}
