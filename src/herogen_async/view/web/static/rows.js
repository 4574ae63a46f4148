// The rows of a run: a list that scrolls through any number, filters, and one row whole beside it.
import { ask, count, fill, h, pill, say, trouble, words } from "./dom.js";
import { rowPanel } from "./row.js";

const PAGE = 100; // rows asked for at once
const LINE = 46; // pixels of a row, as --line-height has it
const TALLEST = 8_000_000; // pixels: browsers draw nothing past some 17 million, so more rows share the way
const MOST_PAGES = 40;
const MOST_FACETS = 6;
const LOOK_AGAIN_MS = 2000;
const MARKS = { good: "good", bad: "bad", scored: "with a score", note: "with a note", edit: "edited", any: "marked", none: "not marked" };

export function rowsView(place, base, home, rest) {
  let about = null;
  let total = null;
  let isReady = false;
  let isEnded = false;
  let isSearching = false;
  let pages = new Map();
  let asked = new Set();
  let generation = 0;
  let chosen = -1; // the place in the list
  let shownRow = null; // the row's number
  let known = -1;
  let marked = -1;
  let timer = null;
  let typing = null;
  const query = new URLSearchParams();

  const counted = h("span", { class: "quiet", role: "status" });
  const message = h("div", {});
  const filters = h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() });
  const room = h("div", { class: "list-room" });
  const list = h("div", { class: "list", tabindex: 0, role: "listbox", "aria-label": "Rows" }, room);
  const panel = rowPanel(base, {
    close: () => choose(-1),
    changed: () => refresh(),
    step: (by) => choose(Math.max(0, chosen + by)),
  });
  fill(place, h("div", { class: "bar-line" }, filters), h("div", { class: "count-line" }, counted, keysHelp()), message, h("div", { class: "split" }, list, panel.element));

  const address = (start, many) => `${base}/rows?${new URLSearchParams([...query, ["start", start], ["count", many]])}`;

  // -- the list

  const lines = [];
  const perView = () => Math.ceil(list.clientHeight / LINE) + 1;
  const full = () => (total ?? 0) * LINE;
  const firstShown = () => {
    const reach = room.offsetHeight - list.clientHeight;
    const rows = (total ?? 0) - list.clientHeight / LINE;
    if (full() <= TALLEST || reach <= 0) return list.scrollTop / LINE;
    return (list.scrollTop / reach) * Math.max(rows, 0);
  };

  function draw() {
    room.style.height = `${Math.min(full(), TALLEST)}px`;
    const first = Math.max(0, firstShown());
    const from = Math.floor(first);
    const many = Math.min(perView() + 1, Math.max((total ?? 0) - from, 0));
    while (lines.length < many) lines.push(room.appendChild(h("div", { class: "row", role: "option", onclick: (event) => choose(Number(event.currentTarget.dataset.place)) })));
    while (lines.length > many) lines.pop().remove();
    for (let place_ = 0; place_ < many; place_ += 1) {
      const at = from + place_;
      const row = pages.get(Math.floor(at / PAGE))?.[at % PAGE];
      const line = lines[place_];
      line.style.transform = `translateY(${list.scrollTop + (at - first) * LINE}px)`;
      line.dataset.place = at;
      line.setAttribute("aria-selected", String(at === chosen));
      if (line.shown !== row || line.shownIsReady !== isReady) {
        line.shown = row;
        line.shownIsReady = isReady;
        fill(line, row === undefined ? h("span", { class: "blank" }) : rowLine(row));
      }
    }
    want(from, many);
  }

  let waiting = false;
  list.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  });
  const watch = new ResizeObserver(() => draw());
  watch.observe(list);

  function want(from, many) {
    if (!isReady) return;
    const last = Math.floor((from + many - 1) / PAGE);
    for (let page = Math.floor(from / PAGE); page <= last; page += 1) if (!pages.has(page)) load(page);
  }

  async function load(page) {
    const key = `${generation} ${page}`;
    if (asked.has(key)) return;
    asked.add(key);
    const mine = generation;
    try {
      const told = await ask(address(page * PAGE, PAGE));
      if (mine !== generation || isEnded) return;
      take(told, page);
    } catch (error) {
      if (mine === generation) fill(message, trouble(error));
    } finally {
      asked.delete(key);
    }
  }

  function take(told, page) {
    if (message.childElementCount) fill(message);
    isReady = told.ready;
    total = told.ready ? told.total : told.rows.length;
    pages.set(page, told.rows);
    // The pages that were looked at longest ago go: a list of a million rows is never held.
    for (const old of pages.keys()) if (pages.size > MOST_PAGES) pages.delete(old);
    const wanted = [...query.keys()].some((name) => name !== "order");
    if (!told.ready) say(counted, "Reading the journal; these are the latest answers.");
    else say(counted, `${count(total)} ${total === 1 ? "row" : "rows"}${wanted ? " found" : ""}`);
    if (told.ready && total === 0) fill(message, h("p", { class: "empty" }, wanted ? "No rows match." : "No rows yet."));
    draw();
    if (!told.ready) timer = setTimeout(() => restart(), LOOK_AGAIN_MS / 4);
  }

  /** Everything anew: another filter, or another order. One request at a time: who types fast waits for one search. */
  async function restart() {
    generation += 1;
    clearTimeout(timer);
    timer = null;
    pages = isReady ? new Map() : pages;
    asked = new Set();
    if (isSearching) return;
    isSearching = true;
    const slow = setTimeout(() => isReady && say(counted, "Searching"), 300);
    for (let mine = -1; mine !== generation && !isEnded; ) {
      mine = generation;
      await load(0);
    }
    clearTimeout(slow);
    isSearching = false;
  }

  /** The same again, since rows came or were marked: what is shown stays until what is new is there. */
  async function refresh() {
    const from = Math.max(0, Math.floor(firstShown()));
    const first = Math.floor(from / PAGE);
    const last = Math.floor((from + perView()) / PAGE);
    const mine = generation;
    for (let page = first; page <= last; page += 1) {
      try {
        const told = await ask(address(page * PAGE, PAGE));
        if (mine !== generation || isEnded) return;
        for (const other of pages.keys()) if (other < first || other > last) pages.delete(other);
        take(told, page);
      } catch (error) {
        fill(message, trouble(error));
      }
    }
  }

  async function choose(at) {
    if (at >= (total ?? 0)) at = (total ?? 0) - 1;
    if (!isReady && at >= 0) return;
    chosen = at;
    if (at < 0) {
      shownRow = null;
      panel.hide();
      history.replaceState(null, "", `${home}/rows`);
      draw();
      list.focus({ preventScroll: true });
      return;
    }
    const top = firstShown();
    const fits = Math.floor(list.clientHeight / LINE);
    if (at < top || at >= top + fits - 1) {
      const target = Math.max(0, at - Math.floor(fits / 3));
      const reach = room.offsetHeight - list.clientHeight;
      list.scrollTop = full() <= TALLEST ? target * LINE : (target / Math.max(total - list.clientHeight / LINE, 1)) * reach;
    }
    draw();
    if (!pages.get(Math.floor(at / PAGE))) await load(Math.floor(at / PAGE));
    const row = pages.get(Math.floor(at / PAGE))?.[at % PAGE];
    if (row === undefined || chosen !== at) return;
    draw();
    show(row.index);
  }

  function show(number) {
    shownRow = number;
    history.replaceState(null, "", `${home}/rows/${number}`);
    panel.show(number);
  }

  // -- filters

  function choice(name, title, options) {
    return h(
      "label",
      {},
      h("span", {}, title),
      h("select", { name, onchange: () => filter() }, h("option", { value: "" }, "any"), options.map(([value, told]) => h("option", { value }, told))),
    );
  }

  function filter() {
    const values = new FormData(filters);
    for (const name of [...query.keys()]) query.delete(name);
    for (const [name, value] of values) {
      if (value === "" || (name === "order" && value === "grid")) continue;
      if (name.startsWith("cell ")) query.append("cell", `${name.slice(5)}=${value}`);
      else query.append(name, value);
    }
    chosen = -1;
    list.scrollTop = 0;
    restart();
  }

  function drawFilters() {
    const facets = Object.entries(about.facets);
    const facet = ([name, values]) => choice(`cell ${name}`, name, values.map((value) => [value, value]));
    const text = h("input", {
      type: "search",
      name: "text",
      placeholder: "Search answers",
      "aria-label": "Search answers",
      maxlength: 1000,
      oninput: () => {
        clearTimeout(typing);
        typing = setTimeout(filter, 250);
      },
    });
    const isNarrow = matchMedia("(max-width: 700px)").matches;
    const choices = [
      choice("state", "state", ["done", "failed", "pending"].map((each) => [each, each])),
      Object.keys(about.finish_reasons).length > 1 && choice("finish", "finish reason", Object.entries(about.finish_reasons).map(([each, many]) => [each, `${each} (${count(many)})`])),
      Object.keys(about.kinds).length > 0 && choice("kind", "error", Object.keys(about.kinds).map((each) => [each, words(each)])),
      choice("mark", "mark", Object.entries(MARKS)),
      h("label", {}, h("span", {}, "order"), h("select", { name: "order", onchange: () => filter() }, h("option", { value: "grid" }, "as in the grid"), h("option", { value: "latest" }, "latest first"))),
      facets.slice(0, MOST_FACETS).map(facet),
      facets.length > MOST_FACETS && h("details", {}, h("summary", {}, "More attributes"), facets.slice(MOST_FACETS).map(facet)),
    ];
    // On a telephone they would take the place of the rows.
    fill(filters, text, isNarrow ? h("details", { class: "all-filters" }, h("summary", {}, "Filters and order"), h("div", {}, choices)) : choices);
  }

  // -- keys

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typed = event.target.closest?.("input, textarea, select");
    if (event.key === "Escape") {
      if (typed && typed.closest(".row-panel")) return panel.key(event);
      if (typed) typed.blur();
      else if (chosen >= 0 || shownRow !== null) choose(-1);
      return undefined;
    }
    if (typed) return undefined;
    const onList = event.target === list || event.target === document.body;
    const step = { j: 1, k: -1, ...(onList ? { ArrowDown: 1, ArrowUp: -1 } : {}) }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      return choose(Math.max(0, chosen + step));
    }
    if (event.key === "/") {
      event.preventDefault();
      return filters.querySelector("input")?.focus();
    }
    return panel.key(event);
  }
  document.addEventListener("keydown", keys);

  (async () => {
    load(0);
    if (/^\d+$/.test(rest ?? "")) show(Number(rest));
    about = await ask(`${base}/about`);
    if (isEnded) return;
    panel.about(about);
    drawFilters();
  })().catch((error) => fill(message, trouble(error)));

  return {
    go(number) {
      if (/^\d+$/.test(number ?? "") && Number(number) !== shownRow) show(Number(number));
    },
    report(moment) {
      const changed = moment.rows !== known || moment.marks !== marked;
      const isFirst = known < 0;
      known = moment.rows;
      marked = moment.marks;
      if (changed && !isFirst && isReady && timer === null) {
        timer = setTimeout(() => {
          timer = null;
          refresh();
        }, LOOK_AGAIN_MS);
      }
    },
    end() {
      isEnded = true;
      clearTimeout(timer);
      clearTimeout(typing);
      watch.disconnect();
      document.removeEventListener("keydown", keys);
    },
  };
}

function rowLine(row) {
  const cell = Object.values(row.cell).join(" · ");
  const has = row.text !== null;
  const text = row.text ?? Object.values(row.missing ?? {})[0] ?? "";
  const finish = [...new Set((row.finish ?? []).filter((each) => each && each !== "stop"))];
  return [
    h("span", { class: "row-index" }, row.index === undefined ? "" : count(row.index)),
    h("span", { class: "row-cell" }, cell),
    h("span", { class: `row-text ${has ? "" : "quiet"}` }, text.replace(/\s+/g, " ")),
    h(
      "span",
      { class: "row-signs" },
      row.state !== undefined && row.state !== "done" && pill(row.state),
      row.accepted === false && row.state === "done" && h("span", { class: "pill" }, "not accepted"),
      finish.map((each) => h("span", { class: "pill warn" }, each)),
      (row.marks ?? []).filter((each) => Object.keys(each).length).map(markSigns),
    ),
  ];
}

const markSigns = (mark) => [
  mark.verdict && h("span", { class: `pill ${mark.verdict}` }, mark.verdict),
  mark.score !== undefined && h("span", { class: "pill" }, `${mark.score}/5`),
  mark.edit !== undefined && h("span", { class: "pill" }, "edited"),
  mark.note !== undefined && h("span", { class: "pill" }, "note"),
];

const keysHelp = () =>
  h(
    "span",
    { class: "keys quiet" },
    [["J", "K"], "next, previous", ["G"], "good", ["B"], "bad", ["1"], "to", ["5"], "score", ["N"], "note", ["E"], "edit", ["/"], "search"].map((each) =>
      Array.isArray(each) ? each.map((key) => h("kbd", {}, key)) : ` ${each} `,
    ),
  );
