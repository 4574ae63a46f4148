// Elements and texts. Whatever a model, a server or a person wrote becomes a text node, and nothing else (P14).
export { ask, post } from "./server.js";

// Kept: new lines and tabs, and the two joiners, without which Persian, Hindi and family emojis fall apart.
const UNSEEN = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** A text as it may be shown: a sign in the place of each control and direction character. */
export const clean = (text) => String(text).replace(/\r\n?/g, "\n").replace(UNSEEN, "\ufffd");

/** An element: `h("a", {href: "#/", class: "x", onclick: f}, "text", other)`. Texts are cleaned. */
export function h(tag, options, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : clean(value));
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(clean(child))));
}

/** Put these in the place of what an element holds. */
export const fill = (element, ...children) => element.replaceChildren(...nodes(children));

/** A text in an element whose text is set only when it differs: nothing is laid out anew for nothing. */
export function say(element, text) {
  const told = clean(text);
  if (element.textContent !== told) element.textContent = told;
}

const WHOLE = new Intl.NumberFormat("en");
export const count = (number) => WHOLE.format(Math.round(number));
export const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
export const rate = (number) => (number >= 100 ? count(number) : number >= 10 ? number.toFixed(1) : number.toFixed(2));
export const usd = (number) => (number === null || number === undefined ? "unknown" : `${number.toFixed(number < 1 ? 4 : 2)} USD`);

/** What a server says, as a sentence: it begins with a capital letter and has an end. */
export function sentence(told) {
  const text = String(told ?? "").trim();
  return text === "" ? "" : `${text[0].toUpperCase()}${text.slice(1)}${/[.!?:]$/.test(text) ? "" : "."}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function ago(moment) {
  const seconds = Math.max(0, Date.now() / 1000 - moment);
  if (seconds < 5) return "just now";
  if (seconds < 48 * 3600) return `${duration(Math.round(seconds))} ago`;
  return new Date(moment * 1000).toISOString().slice(0, 10);
}

/** One figure with its title, in a list of facts. */
export const fact = (title, text) => h("div", { class: "fact" }, h("dt", {}, title), h("dd", {}, text));

/** Figures as tiles: `set(title, text, kind)` adds a tile, or changes the one that is there. */
export function tileBoard(kinds = "") {
  const element = h("dl", { class: `tiles ${kinds}` });
  const tiles = new Map();
  return {
    element,
    set(title, text, kind = "") {
      if (!tiles.has(title)) {
        const value = h("dd", {});
        const box = h("div", {}, h("dt", {}, title), value);
        tiles.set(title, { box, value });
        element.append(box);
      }
      const { box, value } = tiles.get(title);
      box.className = `tile ${kind}`;
      say(value, text);
    },
  };
}

export const words = (state) => String(state).replaceAll("_", " ");

/** What went wrong, and what to do. */
export const trouble = (error) =>
  h("div", { class: "trouble", role: "alert" }, h("strong", {}, error.message), error.fix && h("span", {}, ` ${error.fix}`));

const STATES = { running: "going", done: "good", failed: "bad", failed_rows: "warn", too_few_accepted: "warn", parked: "bad", stopped: "warn", interrupted: "warn" };
export const pill = (state) => h("span", { class: `pill ${STATES[state] ?? ""}` }, words(state));
