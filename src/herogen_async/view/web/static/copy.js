// The answers that a server would give, out of the files of a copy: in the place of server.js. Nothing can be marked.
//
// What is asked often lies in memory: the run, and of each row what it can be found by. The rows themselves lie in files
// of a hundred, which are scripts, since a page that is opened as a file can read nothing else.

const ROWS_A_FILE = 100; // as the file that writes copies has it
const MOST_FILES = 40; // whose rows are held
const SEARCH_MS = 300; // of a question: what is found until then is shown
const held = new Map(); // rows by the number of their file, as promises
const waiting = new Map();
if (globalThis.herogenRun === undefined) {
  document.getElementById("main").textContent = "The file data.js is missing: it has to lie in the folder of this page.";
  throw new Error("data.js is missing");
}
const all = JSON.parse(globalThis.herogenRun);

const policy = globalThis.trustedTypes?.createPolicy("herogen-copy", {
  createScriptURL(address) {
    if (!/^rows-\d{1,9}\.js$/.test(address)) throw new TypeError("no file of this copy");
    return address;
  },
});

/** What each file of rows calls: with JSON as a text, for in a literal some names mean something else. */
globalThis.herogenRows = (name, json) => {
  waiting.get(name)?.(JSON.parse(json));
  waiting.delete(name);
};

export const canMark = false;
export const hasView = (name) => all.views.includes(name);
export const aboutAll = () => all.told;

export async function ask(path) {
  const [address, query = ""] = path.split(/\?(.*)/s);
  const [kind, , ...what] = address.split("/").slice(2);
  if (kind === "runs") return { runs: [], only: all.name };
  const answered = all.answers[what.join("/")];
  if (answered !== undefined) return answered;
  if (what[0] === "rows") return pageOfRows(new URLSearchParams(query));
  if (what[0] === "row" && what.length === 2) return wholeRow(Number(what[1]));
  throw Object.assign(new Error("This copy of a run does not have that"), { fix: "ask who sent it for the run itself" });
}

export const post = () => Promise.reject(Object.assign(new Error("Nothing can be changed in a copy"), { fix: "mark rows on the page of the run itself" }));

export function listen(path, on) {
  queueMicrotask(() => on.report(all.moment));
  return () => {};
}

// -- rows

function fileOf(number) {
  const name = `rows-${number}`;
  if (!held.has(name)) {
    held.set(
      name,
      new Promise((resolve, reject) => {
        const address = `${name}.js`;
        const script = document.createElement("script");
        waiting.set(name, resolve);
        script.src = policy?.createScriptURL(address) ?? address;
        const failed = (what, fix) => {
          held.delete(name);
          reject(Object.assign(new Error(`${address} ${what}`), { fix }));
        };
        // What it hands over is there by then; of a file that was cut off on its way nothing ever comes.
        script.onload = () => (script.remove(), waiting.has(name) && failed("is damaged", "ask for the copy again"));
        script.onerror = () => failed("is missing", "it has to lie in the folder of this page");
        document.head.append(script);
      }).finally(() => waiting.delete(name)),
    );
    for (const old of held.keys()) if (held.size > MOST_FILES) held.delete(old);
  }
  return held.get(name);
}

const entryOf = async (place) => (await fileOf(Math.floor(place / ROWS_A_FILE)))[place % ROWS_A_FILE];

async function wholeRow(number) {
  const place = all.rows.findIndex((row) => row.index === number);
  if (place < 0) throw Object.assign(new Error(`Row ${number} is not in this copy`), { fix: all.told });
  return (await entryOf(place)).row;
}

let search = null; // the one that was asked for last: its query, what was found, how far it is

async function pageOfRows(query) {
  const start = Number(query.get("start"));
  const count = Number(query.get("count"));
  const order = query.get("order") ?? "grid";
  for (const name of ["start", "count", "order"]) query.delete(name);
  const key = String(query);
  if (search?.key !== key) search = { key, found: [], next: 0, ordered: null };
  const mine = search;
  await searchOn(mine, query);
  const figure = order.split(":").slice(1).join(":") || query.get("figure");
  if (mine.ordered?.order !== order || mine.ordered.many !== mine.found.length) mine.ordered = { order, many: mine.found.length, places: sorted(mine.found, order, figure) };
  const places = mine.ordered.places.slice(start, start + count);
  const rows = await Promise.all(places.map(async (place) => ({ ...(await entryOf(place)).short, figure: all.rows[place].figures[figure] ?? null })));
  return { ready: true, total: mine.found.length, searched: all.rows.length ? mine.next / all.rows.length : 1, start, rows };
}

async function searchOn(mine, query) {
  const until = performance.now() + SEARCH_MS;
  const isWanted = rowTest(query);
  const text = lowered(query.get("text") ?? "");
  while (mine.next < all.rows.length && performance.now() < until) {
    const place = mine.next;
    // Another question may have gone on meanwhile: then this place was looked at.
    const fits = isWanted(all.rows[place]) && (text === "" || textsOf((await entryOf(place)).row).some((each) => lowered(each).includes(text)));
    if (mine.next !== place) continue;
    if (fits) mine.found.push(place);
    mine.next = place + 1;
  }
}

function rowTest(query) {
  const tests = [];
  const cell = query.getAll("cell").map((each) => each.split(/=(.*)/s).slice(0, 2));
  if (cell.length) tests.push((row) => cell.every(([name, value]) => all.facets[name]?.[row.cell[name]] === value));
  for (const name of ["state", "accepted"]) if (query.get(name)) tests.push((row) => row[name] === query.get(name));
  for (const name of ["finish", "kind", "finding", "mark"]) if (query.get(name)) tests.push((row) => (row[name] ?? []).includes(query.get(name)));
  const figure = query.get("figure");
  // Figures are numbers of 32 bits: 0.7 is none, and would be below itself.
  const bound = (name, none) => (query.get(name) ? Math.fround(Number(query.get(name))) : none);
  const [least, most] = [bound("least", -Infinity), bound("most", Infinity)];
  if (figure && (query.get("least") || query.get("most"))) tests.push(({ figures }) => figures[figure] !== undefined && figures[figure] >= least && figures[figure] <= most);
  return (row) => tests.every((test) => test(row));
}

function sorted(places, order, figure) {
  if (order === "latest") return places.toSorted((one, other) => all.rows[other].came - all.rows[one].came);
  if (order === "grid") return places;
  const sign = order.startsWith("most:") ? -1 : 1;
  const value = (place) => sign * (all.rows[place].figures[figure] ?? sign * Infinity);
  return places.toSorted((one, other) => value(one) - value(other) || one - other);
}

const textsOf = (row) => [
  ...Object.values(row.columns)
    .flat()
    .filter(Boolean)
    .flatMap((answer) => [answer.response_txt, answer.reasoning ?? ""]),
  ...Object.values(row.failures).map((failure) => String(failure.message)),
];
const lowered = (text) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
