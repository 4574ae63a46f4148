// The rows of one cell side by side: the same question, asked several times.
import { count, fill, h } from "./dom.js";
import { rowPanel } from "./row.js";

const AT_ONCE = 12;

export function repeatsView(base, { close, changed, chose }) {
  const element = h("section", { class: "repeats", "aria-label": "Repeats", hidden: true });
  let panels = [];
  let wanted = []; // the rows' numbers
  let current = 0;

  function show(number, about) {
    const first = number - (number % about.repeats);
    const last = Math.min(first + about.repeats, about.rows);
    const from = first + Math.floor((number - first) / AT_ONCE) * AT_ONCE;
    wanted = Array.from({ length: Math.min(AT_ONCE, last - from) }, (_, each) => from + each);
    panels = wanted.map((each, place) => {
      const panel = rowPanel(base, { close, changed, step }, { isBeside: true });
      panel.element.addEventListener("pointerdown", () => choose(place));
      panel.element.addEventListener("focusin", () => choose(place));
      panel.about(about);
      panel.show(each).then(() => each === number && showChosen(panel));
      return panel;
    });
    const cell = h("dl", { class: "cell" });
    function showChosen(panel) {
      fill(cell, Object.entries(panel.cell() ?? {}).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
      // One that can be seen begins where it is: what they have in common stays in sight above it.
      const isBelow = panel.element.getBoundingClientRect().top > element.getBoundingClientRect().bottom - 200;
      if (isBelow) panel.element.scrollIntoView({ block: "nearest" });
    }
    const turn = (to, told, sign) => h("button", { type: "button", "aria-label": told, title: told, disabled: to < first || to >= last, onclick: () => show(to, about) }, sign);
    fill(
      element,
      h(
        "div",
        { class: "row-head" },
        h("h2", {}, last - first === 1 ? `Row ${count(number)} has no repeats` : `Rows ${count(wanted[0])} to ${count(wanted.at(-1))} of one cell`),
        h("span", { class: "grow" }),
        last - first > AT_ONCE && [turn(from - AT_ONCE, "Earlier repeats", "←"), turn(from + AT_ONCE, "Later repeats", "→")],
        h("button", { type: "button", onclick: close, "aria-label": "Close" }, "×"),
      ),
      cell,
      h("div", { class: "repeats-grid" }, panels.map((panel) => panel.element)),
    );
    element.hidden = false;
    choose(wanted.indexOf(number));
  }

  function choose(place) {
    current = Math.max(0, Math.min(place, panels.length - 1));
    panels.forEach((panel, each) => panel.element.classList.toggle("chosen", each === current));
    chose(wanted[current]);
  }

  function step(by) {
    choose(current + by);
    panels[current]?.element.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  return {
    element,
    show,
    step,
    isShown: () => !element.hidden,
    chosen: () => wanted[current],
    hide() {
      element.hidden = true;
      panels = [];
      fill(element);
    },
    key: (event) => panels[current]?.key(event),
  };
}
