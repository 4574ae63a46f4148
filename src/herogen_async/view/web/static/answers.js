// A question of the playground with its answers, which grow side by side while they are written.
import { copyButton } from "./clipboard.js";
import { clean, count, duration, fill, h, say, sentence, usd } from "./dom.js";

/** One question with its answers; `told` on its element is what stays of it. */
export function questionBlock(asked) {
  const sides = asked.base === null ? [false] : [false, true];
  const cards = new Map();
  const spent = h("span", {});
  const told = { asked, replies: [] };
  const rows = Array.from({ length: asked.samples }, (_, place) => {
    const pair = sides.map((isBase) => {
      const card = answerCard(isBase ? asked.base : asked.name, isBase ? "base" : asked.base === null ? "answer" : "tuned", place + 1, asked.samples);
      cards.set(`${place + 1} ${isBase}`, card);
      return card.element;
    });
    return h("div", { class: `answers ${sides.length > 1 ? "pair" : ""}` }, pair);
  });
  const element = h(
    "article",
    { class: "asked-block" },
    h("div", { class: "asked-head" }, h("h2", { class: "asked-text" }, asked.text), h("p", { class: "quiet figures" }, h("span", {}, asked.base === null ? asked.name : `${asked.name}, and its base ${asked.base}`), h("span", {}, `temperature ${asked.temperature}`), spent)),
    h("div", { class: sides.length > 1 ? "answer-pairs" : "answer-columns" }, rows),
  );
  element.told = told;
  return {
    element,
    grow: (event) => cards.get(`${event.sample} ${event.base}`)?.grow(event),
    reply(event) {
      told.replies.push(event);
      cards.get(`${event.sample} false`)?.show(event.answer);
      if (event.base !== undefined) cards.get(`${event.sample} true`)?.show(event.base);
      const all = told.replies.flatMap((each) => [each.answer, each.base]).filter((each) => each?.usage);
      const sum = (field) => all.reduce((whole, each) => whole + (each.usage[field] ?? 0), 0);
      const money = all.every((each) => typeof each.usd === "number") ? all.reduce((whole, each) => whole + each.usd, 0) : null;
      say(spent, `${count(sum("prompt_tokens"))} + ${count(sum("completion_tokens"))} tokens${money === null ? "" : `, ${usd(money)}`}`);
    },
    /** What there was of answers that were stopped. */
    regrow(rest) {
      for (const [place, more] of rest) cards.get(place)?.grow({ attempt: 1, more });
    },
    end(error) {
      told.rest = [...cards].map(([place, card]) => [place, card.begun()]).filter(([, begun]) => begun !== "");
      for (const card of cards.values()) card.end(error !== null);
    },
    isEmpty: () => [...cards.values()].every((card) => card.isEmpty()),
  };
}

function answerCard(model, kind, sample, many) {
  const title = `${kind}${many > 1 ? ` ${sample}` : ""}`;
  const note = h("span", { class: "pill", hidden: true });
  const body = h("div", { class: "text", "aria-busy": "true" });
  const figures = h("p", { class: "quiet figures" }, "waiting");
  const copy = copyButton(() => raw, body, title);
  copy.hidden = true;
  let raw = "";
  let attempt = 0;
  let isWhole = false;
  const element = h("section", { class: `card answer-card of-${kind}`, "aria-label": `${title}, ${model}` }, h("div", { class: "card-head" }, h("h3", {}, title), h("span", { class: "grow" }), copy), body, h("div", { class: "answer-foot" }, note, figures));
  const mark = (kind, words) => {
    note.hidden = false;
    note.className = `pill ${kind}`;
    say(note, words);
  };
  return {
    element,
    grow(event) {
      if (isWhole) return;
      if (event.attempt !== attempt) raw = "";
      attempt = event.attempt;
      raw += event.more;
      say(body, raw);
      say(figures, "answering");
    },
    show(answer) {
      if (answer === null || answer === undefined) return;
      isWhole = true;
      body.setAttribute("aria-busy", "false");
      if (answer.error !== undefined) {
        raw = "";
        fill(body, h("div", { class: "trouble" }, h("strong", {}, sentence(answer.error)), answer.fix && ` ${sentence(answer.fix)}`));
        say(figures, "");
        return;
      }
      raw = answer.text;
      if (clean(raw).trim() === "") fill(body, h("span", { class: "quiet" }, "an empty answer"));
      else say(body, raw);
      mark(answer.stopped ? "good" : "warn", answer.stopped ? "stopped by itself" : answer.note);
      const used = answer.usage ?? {};
      const found = [used.completion_tokens !== undefined && `${count(used.completion_tokens)} tokens`, duration(answer.latency_ms / 1000), typeof answer.usd === "number" && usd(answer.usd)];
      fill(figures, found.filter(Boolean).map((each) => h("span", {}, each)));
      copy.hidden = raw === "";
    },
    /** Nothing more comes. */
    end(isFailed) {
      if (isWhole) return;
      body.setAttribute("aria-busy", "false");
      say(figures, "");
      mark("warn", isFailed ? "not answered" : "stopped");
      copy.hidden = raw === "";
    },
    begun: () => (isWhole ? "" : raw),
    isEmpty: () => !isWhole && raw === "",
  };
}
