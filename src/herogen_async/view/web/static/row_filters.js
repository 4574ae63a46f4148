// What rows are wanted, and in which order: a form, and the same as the query of an address.
import { count, fill, h, words } from "./dom.js";

const MOST_FACETS = 6;
const TYPING_MS = 250;
const MARKS = { good: "good", bad: "bad", scored: "with a score", note: "with a note", edit: "edited", any: "marked", none: "not marked" };
const STATES = ["done", "failed", "pending"];
const FIGURES = {
  tokens: { title: "tokens", most: "most tokens first", least: "fewest tokens first", show: (value) => `${count(value)} tokens` },
  latency: { title: "milliseconds", most: "slowest first", least: "fastest first", show: (value) => `${(value / 1000).toFixed(2)} s` },
  length: { title: "characters", most: "longest answer first", least: "shortest answer first", show: (value) => `${count(value)} characters` },
  mark: { title: "your score", most: "your best first", least: "your worst first", show: () => null },
};
const figureOf = (name) =>
  FIGURES[name] ?? { title: name, most: `highest ${name} first`, least: `lowest ${name} first`, show: (value) => `${name} ${Number(value.toFixed(3))}` };

/** How a row's figure is shown in the list; null where the row shows it anyway. */
export const figureSign = (name, value) => (value === null || value === undefined ? null : figureOf(name).show(value));

export function rowFilters(changed) {
  const element = h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() });
  let typing = null;
  let query = new URLSearchParams();

  const choice = (name, title, options, none = "any") =>
    h(
      "label",
      {},
      h("span", {}, title),
      h("select", { name, onchange: take }, none !== null && h("option", { value: "" }, none), options.map(([value, told]) => h("option", { value }, told))),
    );
  const same = (values) => values.map((each) => [each, words(each)]);
  const counted = (of) => Object.entries(of).map(([each, many]) => [each, `${words(each)} (${count(many)})`]);
  const later = () => {
    clearTimeout(typing);
    typing = setTimeout(take, TYPING_MS);
  };
  const bound = (name, title) => h("label", { class: "bound" }, h("span", {}, title), h("input", { type: "number", name, step: "any", inputmode: "decimal", oninput: later }));

  function take() {
    clearTimeout(typing);
    query = new URLSearchParams();
    const values = new FormData(element);
    for (const [name, value] of values) {
      if (value === "" || (name === "order" && value === "grid")) continue;
      if ((name === "least" || name === "most") && !values.get("figure")) continue;
      if (name.startsWith("cell ")) query.append("cell", `${name.slice(5)}=${value}`);
      else query.append(name, value);
    }
    showBounds();
    changed(query);
  }

  const showBounds = () => {
    const isOff = !element.elements.figure?.value;
    for (const each of element.querySelectorAll(".bound")) each.hidden = isOff;
  };

  return {
    element,
    focus: () => element.querySelector("input")?.focus(),
    query: () => query,
    /** Whether not all rows are wanted. */
    narrows: () => [...query.keys()].some((name) => name !== "order"),
    /** The figure that rows are sorted or chosen by. */
    figure: () => query.get("order")?.split(":").slice(1).join(":") || query.get("figure"),
    set(text) {
      query = new URLSearchParams(text);
      element.reset();
      for (const [name, value] of query) {
        const [attribute, ...rest] = value.split("=");
        const field = name === "cell" ? element.elements[`cell ${attribute}`] : element.elements[name];
        if (field) field.value = name === "cell" ? rest.join("=") : value;
      }
      showBounds();
    },
    draw(about) {
      const facets = Object.entries(about.facets);
      const facet = ([name, values]) => choice(`cell ${name}`, name, values.map((value) => [value, value]));
      const orders = [["grid", "as in the grid"], ["latest", "latest first"]];
      for (const name of about.figures) orders.push([`most:${name}`, figureOf(name).most], [`least:${name}`, figureOf(name).least]);
      const text = h("input", { type: "search", name: "text", placeholder: "Search answers", "aria-label": "Search answers", maxlength: 1000, oninput: later });
      const choices = [
        choice("state", "state", same(STATES)),
        about.accepts && choice("accepted", "accepted", same(["yes", "no"])),
        Object.keys(about.finish_reasons).length > 1 && choice("finish", "finish reason", counted(about.finish_reasons)),
        Object.keys(about.kinds).length > 0 && choice("kind", "error", same(Object.keys(about.kinds))),
        Object.keys(about.findings).length > 0 && choice("finding", "finding", counted(about.findings)),
        choice("mark", "mark", Object.entries(MARKS)),
        choice("figure", "figure", about.figures.map((name) => [name, figureOf(name).title])),
        bound("least", "from"),
        bound("most", "to"),
        choice("order", "order", orders, null),
        facets.slice(0, MOST_FACETS).map(facet),
        facets.length > MOST_FACETS && h("details", {}, h("summary", {}, "More attributes"), h("div", { class: "more" }, facets.slice(MOST_FACETS).map(facet))),
      ];
      // On a telephone they would take the place of the rows.
      const isNarrow = matchMedia("(max-width: 700px)").matches;
      fill(element, text, isNarrow ? h("details", { class: "all-filters" }, h("summary", {}, "Filters and order"), h("div", {}, choices)) : choices);
      this.set(String(query));
    },
    end: () => clearTimeout(typing),
  };
}
