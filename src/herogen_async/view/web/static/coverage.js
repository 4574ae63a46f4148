// Coverage: how many rows are done, have failed and are accepted, by two attributes; a square leads to its rows.
import { ask, count, fill, h, say, trouble } from "./dom.js";

const AGAIN_MS = 2000; // between two countings of a run that goes on
const STEPS = 5;
const MEASURES = {
  done: { title: "Done", legend: "of the rows in the spec are done", query: { state: "done" } },
  failed: { title: "Failed", legend: "of the rows asked have failed", query: { state: "failed" } },
  accepted: { title: "Accepted", legend: "of the rows done are accepted", query: { accepted: "yes", state: "done" } },
};
const NOT_APPLICABLE = "not applicable";
const percent = (share) => (share > 0 && share < 0.005 ? "<1" : share < 1 && share > 0.995 ? ">99" : String(Math.round(100 * share)));

export function coverageView(place, base, home) {
  let facets = null;
  let table = null;
  let measure = "done";
  let names = { y: "", x: "" };
  let timer = null;
  let ended = false;
  let asking = false;
  let again = false;
  let rows = -1;
  let at = [0, 0]; // the square that the keyboard is on

  const choices = h("form", { class: "filters", onsubmit: (event) => event.preventDefault() });
  const status = h("p", { class: "quiet count-line", role: "status" }, "Reading the journal");
  const message = h("div", {});
  const map = h("div", { class: "scroll map-scroll" });
  const legend = h("div", { class: "map-legend" });
  const notes = h("div", { class: "quiet map-notes" });
  fill(place, choices, status, message, h("section", { class: "panel" }, map, legend), notes);

  function drawChoices() {
    const all = Object.entries(facets.facets);
    const option = ([name, many]) => h("option", { value: name }, `${name} (${count(many)})`);
    const choose = (which, title, none) =>
      h("label", {}, h("span", {}, title), h("select", { name: which, onchange: (event) => pick(which, event.target.value) }, none && h("option", { value: "" }, "none"), all.map(option)));
    const y = choose("y", "down", false);
    const x = choose("x", "across", true);
    y.querySelector("select").value = names.y;
    x.querySelector("select").value = names.x;
    const shown = Object.keys(MEASURES).filter((each) => each !== "accepted" || facets.accepts);
    fill(
      choices,
      y,
      all.length > 1 && x,
      h(
        "div",
        { class: "measures", role: "group", "aria-label": "What is counted" },
        shown.map((each) => h("button", { type: "button", "aria-pressed": String(each === measure), class: each === measure ? "on" : "", onclick: (event) => show(each, event.currentTarget) }, MEASURES[each].title)),
      ),
    );
    fill(
      notes,
      facets.fields.length > 0 && h("p", {}, `Not shown, since each has many different values: ${facets.fields.join(", ")}.`),
    );
  }

  function pick(which, name) {
    const other = which === "y" ? "x" : "y";
    // Both the same would say nothing: they change places.
    if (name === names[other]) names[other] = names[which];
    names[which] = name;
    if (names.y === "") names = { y: names.x, x: "" };
    at = [0, 0];
    table = null;
    drawChoices();
    choices.querySelector(`select[name=${which}]`)?.focus();
    remember();
    look();
  }

  function show(each, button) {
    measure = each;
    for (const other of button.parentElement.children) {
      other.className = other === button ? "on" : "";
      other.setAttribute("aria-pressed", String(other === button));
    }
    remember();
    if (table !== null && (measure !== "accepted" || table.accepted !== null)) draw();
    else look();
  }

  const remember = () => history.replaceState(null, "", `${home}/coverage?${new URLSearchParams([["y", names.y], ...(names.x ? [["x", names.x]] : []), ...(measure === "done" ? [] : [["of", measure]])])}`);

  // -- the table

  const lines = (axis) => {
    if (axis.name === null) return [{ label: "rows", value: null }];
    return [
      ...axis.values.map((value) => ({ label: value === "" ? "(empty)" : value, value, name: axis.name })),
      ...(axis.others ? [{ label: `${count(axis.others)} others`, value: undefined, isTogether: true }] : []),
      ...(axis.has_none ? [{ label: NOT_APPLICABLE, value: undefined, isTogether: true }] : []),
    ];
  };

  function square(row, column) {
    const [done, failed] = [table.done[row][column], table.failed[row][column]];
    const accepted = table.accepted?.[row][column] ?? 0;
    const wanted = table.wanted?.[row][column];
    return { done, failed, accepted, wanted, of: { done, failed, accepted }[measure], share: { done: wanted ? done / wanted : null, failed: failed / Math.max(done + failed, 1), accepted: accepted / Math.max(done, 1) }[measure] };
  }

  function draw() {
    if (table === null || (measure === "accepted" && table.accepted === null)) return;
    const [down, across] = [lines(table.y), lines(table.x)];
    const squares = down.map((_, row) => across.map((__, column) => square(row, column)));
    const own = squares.flatMap((line, row) => line.filter((_, column) => !down[row].isTogether && !across[column].isTogether));
    const most = Math.max(1, ...own.map((each) => each.of));
    const step = (each) => {
      if (each.wanted === 0) return "never";
      if (each.of === 0) return measure === "done" || each.done + each.failed === 0 ? "empty" : "s0";
      const share = each.share ?? each.of / most;
      return `s${Math.max(1, Math.min(STEPS, Math.ceil(share * STEPS)))}`;
    };
    const active = document.activeElement?.closest?.(".map");
    const scroll = [map.scrollLeft, map.scrollTop];
    const text = (each) => (each.wanted === 0 ? "–" : measure === "done" || each.done + each.failed === 0 ? count(each.of) : `${percent(each.share)} %`);
    const cells = squares.map((line, row) =>
      line.map((each, column) => {
        const named = [down[row], across[column]].filter((one) => one.name !== undefined);
        const said = `${[down[row], across[column]].filter((one) => one.value !== null).map((one) => one.label).join(", ")}: ${each.wanted === 0 ? "the spec has no such rows" : told(each)}`;
        const leads = each.wanted !== 0 && !down[row].isTogether && !across[column].isTogether;
        const options = { class: `square ${step(each)}`, tabindex: -1, "aria-label": said, title: said, "data-row": row, "data-column": column };
        return h("td", {}, leads ? h("a", { ...options, href: address(named) }, text(each)) : h("span", { ...options, role: "note" }, text(each)));
      }),
    );
    fill(
      map,
      h(
        "table",
        { class: "map", onkeydown: move, onfocusin: remembered },
        h("caption", { class: "unseen" }, `Rows ${measure}, ${table.y.name} down${table.x.name === null ? "" : `, ${table.x.name} across`}. The arrow keys move between squares, Enter shows a square's rows.`),
        h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "corner" }, table.y.name, table.x.name !== null && h("span", { class: "quiet" }, ` by ${table.x.name}`)), across.map((each) => h("th", { scope: "col", title: each.label, class: each.isTogether ? "together" : "" }, h("span", {}, each.label))))),
        h("tbody", {}, cells.map((line, row) => h("tr", {}, h("th", { scope: "row", title: down[row].label, class: down[row].isTogether ? "together" : "" }, h("span", {}, down[row].label)), line))),
      ),
    );
    [map.scrollLeft, map.scrollTop] = scroll;
    at = [Math.min(at[0], down.length - 1), Math.min(at[1], across.length - 1)];
    const current = squareAt(at);
    current.tabIndex = 0;
    if (active) current.focus({ preventScroll: true });
    drawLegend(most, squares.flat());
  }

  function drawLegend(most, squares) {
    // Of a grid with rules that is too large to look at, nobody knows how many rows there are to a square.
    const isCounted = measure === "done" && table.wanted === null;
    const bounds = (step) => {
      if (!isCounted) return `${Math.round((100 * (step - 1)) / STEPS)} to ${Math.round((100 * step) / STEPS)} %`;
      const [from, to] = [Math.floor(((step - 1) * most) / STEPS) + 1, Math.floor((step * most) / STEPS)];
      return from === to ? count(from) : `${count(from)} to ${count(to)}`;
    };
    const steps = Array.from({ length: STEPS }, (_, number) => number + 1).filter((step) => !isCounted || Math.floor((step * most) / STEPS) > Math.floor(((step - 1) * most) / STEPS));
    const key = (name, words) => h("span", { class: "key" }, h("span", { class: `square ${name}`, "aria-hidden": "true" }), words);
    fill(
      legend,
      squares.some((each) => each.wanted === 0) && key("never", "no such rows in the spec"),
      key("empty", measure === "done" ? "none yet" : "nothing asked yet"),
      measure !== "done" && key("s0", "0 %"),
      steps.map((step) => key(`s${step}`, bounds(step))),
      h("span", { class: "quiet" }, isCounted ? "rows done" : MEASURES[measure].legend),
    );
    legend.className = `map-legend of-${measure}`;
    map.className = `scroll map-scroll of-${measure}`;
  }

  function told({ done, failed, accepted, wanted }) {
    const parts = [`${count(done)}${wanted === undefined ? "" : ` of ${count(wanted)}`} done`];
    if (failed > 0) parts.push(`${count(failed)} failed`);
    if (table.accepted !== null) parts.push(`${count(accepted)} accepted`);
    return parts.join(", ");
  }

  const address = (named) => `${home}/rows?${new URLSearchParams([...named.map((each) => ["cell", `${each.name}=${each.value}`]), ...Object.entries(MEASURES[measure].query)])}`;

  // -- keys

  const squareAt = ([row, column]) => map.querySelector(`[data-row="${row}"][data-column="${column}"]`);

  function remembered(event) {
    const found = event.target.closest("[data-row]");
    if (found === null) return;
    const before = squareAt(at);
    if (before) before.tabIndex = -1;
    found.tabIndex = 0;
    at = [Number(found.dataset.row), Number(found.dataset.column)];
  }

  function move(event) {
    const ways = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] };
    const ends = { Home: [at[0], 0], End: [at[0], lines(table.x).length - 1] };
    const to = ends[event.key] ?? (ways[event.key] && [at[0] + ways[event.key][0], at[1] + ways[event.key][1]]);
    const next = to && squareAt(to);
    if (!next) return;
    event.preventDefault();
    next.focus();
  }

  // -- the run

  async function look() {
    clearTimeout(timer);
    timer = null;
    again = asking;
    if (asking || ended || facets === null || names.y === "") return;
    asking = true;
    const mine = { ...names, measure };
    try {
      const found = await ask(`${base}/coverage?${new URLSearchParams([["y", mine.y], ...(mine.x ? [["x", mine.x]] : []), ["of", measure]])}`);
      if (!ended && mine.y === names.y && mine.x === names.x && (mine.measure === measure || measure !== "accepted")) {
        table = found;
        fill(message);
        draw();
        if (found.searched < 1) {
          say(status, `Counting the ${measure === "accepted" ? "accepted " : ""}rows: ${Math.floor(100 * found.searched)} %`);
          timer = setTimeout(look, 0);
        } else say(status, summary());
      }
    } catch (error) {
      if (!ended) fill(message, trouble(error));
    }
    asking = false;
    if (again) look();
  }

  function summary() {
    const sum = (of) => of.flat().reduce((one, other) => one + other, 0);
    const parts = [`${count(sum(table.done))} rows done`, `${count(sum(table.failed))} failed`];
    if (table.accepted !== null) parts.push(`${count(sum(table.accepted))} accepted`);
    const short = [table.y, table.x].filter((axis) => axis.others > 0).map((axis) => `of ${axis.name} the ${count(axis.values.length)} values with the most rows`);
    return `${parts.join(", ")}${short.length ? `; ${short.join(", ")}` : ""}.`;
  }

  (async () => {
    facets = await ask(`${base}/facets`);
    if (ended) return;
    const all = Object.keys(facets.facets);
    if (all.length === 0) {
      say(status, "");
      fill(map, h("p", { class: "empty" }, "This spec has no attributes, and no fields of records with few values: there is nothing to count rows by."));
      return;
    }
    const asked = new URLSearchParams(location.hash.split("?")[1]);
    const [y, x, of] = ["y", "x", "of"].map((each) => asked.get(each));
    // The fewer values go across: there is less room for them.
    const [one, other] = [...all].sort((a, b) => facets.facets[b] - facets.facets[a]);
    const two = all.length < 2 ? [one, ""] : all.length === 2 ? [one, other] : [all[0], all[1]].sort((a, b) => facets.facets[b] - facets.facets[a]);
    names = all.includes(y) ? { y, x: all.includes(x) && x !== y ? x : "" } : { y: two[0], x: two[1] };
    if (of in MEASURES && (of !== "accepted" || facets.accepts)) measure = of;
    drawChoices();
    look();
  })().catch((error) => {
    say(status, "");
    fill(message, trouble(error));
  });

  return {
    report(moment) {
      const changed = moment.rows !== rows;
      rows = moment.rows;
      if (changed && table !== null && timer === null && !asking) timer = setTimeout(look, AGAIN_MS);
    },
    end() {
      ended = true;
      clearTimeout(timer);
    },
  };
}
