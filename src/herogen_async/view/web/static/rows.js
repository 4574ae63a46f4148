// The rows of a run: a list that scrolls through any number, filters, and one row whole beside it.
import { ask, count, counted, fill, h, pill, say, trouble } from "./dom.js";
import { repeatsView } from "./repeats.js";
import { markSigns, rowPanel } from "./row.js";
import { figureSign, rowFilters } from "./row_filters.js";
import { canMark } from "./server.js";

const PAGE = 100; // rows asked for at once
const LINE = 46; // pixels of a row, as --line-height has it
const TALLEST = 8_000_000; // pixels: browsers draw nothing past some 17 million, so more rows share the way
const MOST_PAGES = 40;
const LOOK_AGAIN_MS = 2000;

export function rowsView(place, base, home, rest) {
  let about = null;
  let total = null;
  let isReady = false;
  let isEnded = false;
  let isSearching = false;
  let isPartly = false; // not all rows were searched yet
  let pages = new Map();
  let asked = new Set();
  let generation = 0;
  let chosen = -1; // the place in the list
  let shownRow = null; // the row's number
  let known = -1;
  let marked = -1;
  let timer = null;

  const status = h("span", { class: "quiet", role: "status" });
  const message = h("div", {});
  const filters = rowFilters(filter);
  const room = h("div", { class: "list-room" });
  const list = h("div", { class: "list", tabindex: 0, role: "listbox", "aria-label": "Rows" }, room);
  const panel = rowPanel(base, {
    close: () => choose(-1),
    changed: () => refresh(),
    step: (by) => choose(Math.max(0, chosen + by)),
    repeats: () => showRepeats(),
  });
  const repeats = repeatsView(base, { close: () => hideRepeats(), changed: () => refresh(), chose: () => remember() });
  const split = h("div", { class: "split" }, list, panel.element, repeats.element);
  fill(place, h("div", { class: "bar-line" }, filters.element), h("div", { class: "count-line" }, status, keysHelp()), message, split);

  const address = (start, many) => `${base}/rows?${new URLSearchParams([...filters.query(), ["start", start], ["count", many]])}`;
  /** Where one can come back to: the filters, and what is shown. */
  const remember = () => {
    const query = String(filters.query());
    const what = repeats.isShown() ? `/${repeats.chosen()}/repeats` : shownRow === null ? "" : `/${shownRow}`;
    history.replaceState(null, "", `${home}/rows${what}${query && `?${query}`}`);
  };

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
        fill(line, row === undefined ? h("span", { class: "blank" }) : rowLine(row, filters.figure()));
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
    const narrows = filters.narrows();
    isPartly = told.ready && told.searched < 1;
    const share = isPartly ? `, ${Math.floor(100 * told.searched)} % searched` : "";
    if (!told.ready) say(status, "Reading the journal; these are the latest answers.");
    else say(status, `${counted(total, "row")}${narrows ? " found" : ""}${share}`);
    if (told.ready && total === 0 && !share) fill(message, h("p", { class: "empty" }, narrows ? "No rows match." : "No rows yet."));
    draw();
    if (!told.ready) timer = setTimeout(() => restart(), LOOK_AGAIN_MS / 4);
    // What was found so far is shown, and the search goes on with the next question.
    else if (share && timer === null && !isSearching) goOn();
  }

  function goOn() {
    timer = setTimeout(() => {
      timer = null;
      refresh();
    }, 0);
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
    const slow = setTimeout(() => isReady && say(status, "Searching"), 300);
    for (let mine = -1; mine !== generation && !isEnded; ) {
      mine = generation;
      await load(0);
    }
    clearTimeout(slow);
    isSearching = false;
    if (isPartly && timer === null && !isEnded) goOn();
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
      remember();
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
    remember();
    panel.show(number);
  }

  function showRepeats(number = shownRow) {
    if (number === null || about === null) return;
    repeats.show(number, about);
    split.classList.add("repeating");
  }

  function hideRepeats() {
    const number = repeats.chosen();
    repeats.hide();
    split.classList.remove("repeating");
    draw();
    // Rows of one cell lie next to each other as the grid has them: the list goes on from the one that was chosen.
    show(number);
    list.focus({ preventScroll: true });
  }

  // -- filters

  function filter() {
    chosen = -1;
    list.scrollTop = 0;
    remember();
    restart();
  }

  /** As an address says it: `5`, `5/repeats`, and the filters behind a question mark. */
  function go(text, isFirst) {
    const [what, query = ""] = (text ?? "").split(/\?(.*)/s);
    const [number, view] = what.split("/");
    const is_row = /^\d{1,15}$/.test(number);
    if (query !== String(filters.query())) {
      filters.set(query);
      if (!isFirst) filter();
    }
    if (is_row && Number(number) !== shownRow) show(Number(number));
    if (is_row && view === "repeats") showRepeats(Number(number));
  }

  // -- keys

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typed = event.target.closest?.("input, textarea, select");
    if (event.key === "Escape") {
      if (typed && typed.closest(".row-panel")) return (repeats.isShown() ? repeats : panel).key(event);
      if (typed) typed.blur();
      else if (repeats.isShown()) hideRepeats();
      else if (chosen >= 0 || shownRow !== null) choose(-1);
      return undefined;
    }
    if (typed) return undefined;
    const onList = event.target === list || event.target === document.body;
    const arrows = repeats.isShown() ? { ArrowRight: 1, ArrowLeft: -1 } : { ArrowDown: 1, ArrowUp: -1 };
    const step = { j: 1, k: -1, ...(onList ? arrows : {}) }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      return repeats.isShown() ? repeats.step(step) : choose(Math.max(0, chosen + step));
    }
    if (event.key === "/") {
      event.preventDefault();
      return filters.focus();
    }
    if (event.key === "r") return repeats.isShown() ? hideRepeats() : showRepeats();
    return (repeats.isShown() ? repeats : panel).key(event);
  }
  document.addEventListener("keydown", keys);

  (async () => {
    go(rest, true);
    load(0);
    about = await ask(`${base}/about`);
    if (isEnded) return;
    panel.about(about);
    filters.draw(about);
    go(rest, true);
  })().catch((error) => fill(message, trouble(error)));

  return {
    go,
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
      filters.end();
      watch.disconnect();
      document.removeEventListener("keydown", keys);
    },
  };
}

function rowLine(row, figure) {
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
      figure && h("span", { class: "row-figure" }, figureSign(figure, row.figure)),
      row.state !== undefined && row.state !== "done" && pill(row.state),
      row.accepted === false && row.state === "done" && h("span", { class: "pill" }, "not accepted"),
      finish.map((each) => h("span", { class: "pill warn" }, each)),
      (row.marks ?? []).filter((each) => Object.keys(each).length).map(markSigns),
    ),
  ];
}

const MARK_KEYS = [["G"], "good", ["B"], "bad", ["1"], "to", ["5"], "score", ["N"], "note", ["E"], "edit"];
const keysHelp = () =>
  h(
    "span",
    { class: "keys quiet" },
    [["J", "K"], "next, previous", ...(canMark ? MARK_KEYS : []), ["R"], "repeats", ["/"], "search"].map((each) =>
      Array.isArray(each) ? each.map((key) => h("kbd", {}, key)) : ` ${each} `,
    ),
  );
