// The page: which view is shown follows the part of the address behind the #.
import { fill, h, trouble } from "./dom.js";
import { showRuns } from "./runs.js";
import { showRun } from "./run.js";

const main = document.getElementById("main");
const where = document.getElementById("where");
let leave = null;
let view = null; // what is shown, as a promise

// The token has become a cookie: it need not stay where a screenshot or a shared screen shows it.
if (location.search) history.replaceState(null, "", location.pathname + location.hash);

async function route() {
  leave?.();
  leave = null;
  const [name, shownAs, rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  document.title = name ? `${name} · herogen-async` : "herogen-async";
  fill(where, name && h("span", { class: "crumb" }, name));
  const shown = name ? showRun(main, name, shownAs || "live", rest) : showRuns(main);
  view = shown;
  leave = () => shown.then((held) => held?.end(), () => {});
  try {
    await shown;
  } catch (error) {
    fill(main, trouble(error), h("p", {}, h("a", { href: "#/" }, "All runs")));
    leave = null;
  }
}

const viewOf = () => location.hash.split("/").slice(0, 3).join("/");
let shownHash = viewOf();
addEventListener("hashchange", () => {
  if (viewOf() !== shownHash || !shownHash.endsWith("/rows")) {
    shownHash = viewOf();
    return route();
  }
  // Another row of the same list is the same view.
  const rest = location.hash.split("/")[3];
  return view.then((held) => held?.go?.(rest));
});
route();
