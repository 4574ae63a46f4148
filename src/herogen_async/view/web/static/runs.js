// All runs: their states, how far they are, what they cost, when they changed.
import { ago, ask, count, fill, h, pill, trouble, usd } from "./dom.js";
import { polling } from "./polling.js";

const EVERY_MS = 3000;

export async function showRuns(main) {
  let ended = false;
  let first = await ask("/api/runs");
  if (first.only !== null && first.is_awaited) return awaited(main, first.only);
  if (first.only !== null) {
    location.replace(`#/${encodeURIComponent(first.only)}/live`);
    return null;
  }
  const list = h("ul", { class: "runs" });
  const message = h("div", {});
  fill(main, h("h1", {}, "Runs"), message, list);

  async function look() {
    try {
      const { runs } = first ?? (await ask("/api/runs"));
      first = null;
      fill(message);
      if (runs.length === 0) fill(message, empty());
      const cards = runs.map((run) => card(run));
      fill(list, ...cards.map(({ element }) => element));
      for (const { run, show } of cards) {
        if (ended) return null;
        // One after the other: a large journal takes seconds, and others are shown before it.
        if (run.state === undefined) await ask(`/api/runs/${encodeURIComponent(run.name)}`).then(show, show);
      }
    } catch (error) {
      fill(message, trouble(error));
    }
    return EVERY_MS;
  }
  const looking = polling(look); // not awaited: who leaves meanwhile ends it
  return {
    end() {
      ended = true;
      looking.end();
    },
  };
}

/** A run that starts just now: its folder is not there yet. */
function awaited(main, name) {
  let ended = false;
  const message = h("div", {});
  fill(main, h("h1", {}, name), h("p", { class: "empty", role: "status" }, "The run is starting."), message);
  async function look() {
    try {
      if (!(await ask("/api/runs")).is_awaited) {
        if (!ended) location.replace(`#/${encodeURIComponent(name)}/live`);
        return null;
      }
      fill(message);
    } catch (error) {
      fill(message, trouble(error));
    }
    return EVERY_MS / 6;
  }
  const looking = polling(look);
  return {
    end() {
      ended = true;
      looking.end();
    },
  };
}

const empty = () =>
  h("div", { class: "empty" }, h("p", {}, "No runs yet."), h("p", {}, "Start one: ", h("code", {}, "herogen-async run --limit 24")));

function card(run) {
  const figures = h("div", { class: "run-figures" });
  const link = h(
    "a",
    { class: "run-card", href: `#/${encodeURIComponent(run.name)}/live` },
    h("div", { class: "run-head" }, h("span", { class: "run-name" }, run.name), h("span", { class: "quiet" }, ago(run.changed_at))),
    figures,
  );
  const element = h("li", {}, link);
  const show = (told) => {
    if (told instanceof Error) return fill(figures, h("span", { class: "pill bad" }, "unreadable"), " ", told.message);
    const share = told.total ? Math.min(1, told.done / told.total) : 0;
    return fill(
      figures,
      pill(told.state),
      h("progress", { max: 1, value: share, "aria-label": "rows done" }),
      h("span", {}, `${count(told.done)} of ${count(told.total)}`),
      told.failed > 0 && h("span", { class: "bad-text" }, `${count(told.failed)} failed`),
      told.accepted !== undefined && h("span", {}, `${count(told.accepted)} accepted`),
      h("span", { class: "quiet" }, told.model ?? ""),
      told.cost !== null && told.cost !== undefined && h("span", { class: "quiet" }, usd(told.cost)),
    );
  };
  if (run.state === undefined) fill(figures, run.running ? pill("running") : h("span", { class: "quiet" }, "reading"));
  else show(run);
  return { element, run, show };
}
