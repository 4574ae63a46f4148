// One run: its head with the figures of this second, and below it either its progress or its rows.
import { ask, fill, h, pill, say, trouble } from "./dom.js";
import { controlView } from "./control.js";
import { coverageView } from "./coverage.js";
import { liveView } from "./live.js";
import { playgroundView } from "./playground.js";
import { qualityView } from "./quality.js";
import { rowsView } from "./rows.js";
import { aboutAll, hasView, listen } from "./server.js";
import { tuneView } from "./tune.js";

// What an address names: the view's title, and what makes it.
const VIEWS = {
  live: ["Progress", ({ place, base, name }) => liveView(place, base, name)],
  rows: ["Rows", ({ place, base, home, rest }) => rowsView(place, base, home, rest)],
  coverage: ["Coverage", ({ place, base, home }) => coverageView(place, base, home)],
  quality: ["Quality", ({ place, base, home }) => qualityView(place, base, home)],
  tune: ["Tune", ({ place, base, home }) => tuneView(place, base, home)],
  playground: ["Playground", ({ place, base, home, name }) => playgroundView(place, base, home, name)],
  control: ["Control", ({ place, base }) => controlView(place, base)],
};

export async function showRun(main, name, view, rest) {
  const base = `/api/run/${encodeURIComponent(name)}`;
  const home = `#/${encodeURIComponent(name)}`;
  const state = h("span", {});
  const notice = h("div", {});
  const place = h("div", { class: `view view-${view}` });
  const tabs = Object.entries(VIEWS).filter(([each]) => hasView(each)).map(([each, [title]]) =>
    h("a", { href: `${home}/${each}`, "aria-current": each === view ? "page" : null }, title),
  );
  fill(
    main,
    h("div", { class: "run-top" }, h("h1", {}, name), state, h("nav", { class: "tabs", "aria-label": "Views of this run" }, tabs)),
    notice,
    aboutAll() && h("p", { class: "about-all" }, aboutAll()),
    place,
  );
  const [, make] = VIEWS[view] ?? VIEWS.live;
  const shown = make({ place, base, home, name, rest });

  let stop = null;
  let isGone = false;
  let lastState = null;
  const follow = () => {
    if (stop !== null || isGone || document.hidden) return;
    stop = listen(`${base}/live`, {
      report(told) {
        if (notice.childElementCount) fill(notice);
        if (told.report.state !== lastState) fill(state, pill(told.report.state));
        lastState = told.report.state;
        shown.report(told);
      },
      trouble: ({ error, fix }) => fill(notice, trouble({ message: error, fix })),
      gone({ error }) {
        isGone = true;
        rest_();
        fill(state, h("span", { class: "pill bad" }, "gone"));
        fill(notice, trouble({ message: "This run's folder is gone.", fix: error }));
      },
      lost(isOver) {
        if (isGone || stop === null) return;
        if (isOver) rest_();
        fill(notice, trouble({ message: "The server does not answer.", fix: "What you see is from before. To go on: herogen-async view" }));
        // A run that was removed closes the stream with an error: ask what it is.
        ask(`${base}/about`).catch((error) => error.fix && fill(notice, trouble(error)));
      },
    });
  };
  // A page that nobody sees asks nothing.
  const rest_ = () => {
    stop?.();
    stop = null;
  };
  const seen = () => (document.hidden ? rest_() : follow());
  document.addEventListener("visibilitychange", seen);
  follow();
  say(document.getElementById("said"), "");
  return {
    go: shown.go,
    end() {
      document.removeEventListener("visibilitychange", seen);
      rest_();
      shown.end();
    },
  };
}
