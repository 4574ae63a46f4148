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
  const [name, shownAs] = parts().map(decodeURIComponent);
  const rest = restOf();
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

// #/RUN/VIEW/REST?QUERY: what a view makes of the rest is its own.
const parts = () => location.hash.replace(/^#\/?/, "").split("?")[0].split("/");
const restOf = () => location.hash.replace(/^#\/?[^/?]*\/?[^/?]*\/?/, "");
const viewOf = () => parts().slice(0, 2).join("/");
let shownHash = viewOf();
addEventListener("hashchange", () => {
  if (viewOf() !== shownHash || !shownHash.endsWith("/rows")) {
    shownHash = viewOf();
    return route();
  }
  // Another row of the same list is the same view.
  return view.then((held) => held?.go?.(restOf()));
});
route();
