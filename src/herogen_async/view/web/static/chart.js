// A chart that keeps to the width of its place, and to the colours of day and night.
import uPlot from "./vendor/uPlot-1.6.32.js";
import { fill, h } from "./dom.js";

const LEAST_WIDTH = 200;
const [HEIGHT, TALL_SCREEN] = [220, 1300];

/** A colour of the page's style. */
export const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** What every axis looks like. */
export const axis = () => ({ stroke: ink("--ink-2"), grid: { stroke: ink("--line"), width: 1 }, ticks: { stroke: ink("--line"), width: 1 }, font: "12px system-ui" });

/**
 * The chart in `place`. `make` gives its `data` and the other options of uPlot, a sentence where there is too little to
 * draw, or null where nothing is known yet; `tall` is its height on a tall screen, in pixels.
 */
export function chart(place, tall, make) {
  let plot = null;
  const size = () => ({ width: Math.max(place.clientWidth, LEAST_WIDTH), height: innerHeight > TALL_SCREEN ? tall : HEIGHT });
  const draw = () => {
    plot?.destroy();
    plot = null;
    const made = make();
    if (made === null) return;
    if (typeof made === "string") return fill(place, h("p", { class: "quiet" }, made));
    const { data, hooks, ...options } = made;
    fill(place);
    plot = new uPlot(
      {
        ...size(),
        cursor: { drag: { x: true, y: false } },
        legend: { live: true },
        hooks: { ...hooks, ready: [(self) => self.setLegend({ idx: data[0].length - 1 })] },
        ...options,
      },
      data,
      place,
    );
    return plot;
  };
  const watch = new ResizeObserver(() => plot?.setSize(size()));
  watch.observe(place);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", draw);
  return {
    draw,
    end() {
      watch.disconnect();
      scheme.removeEventListener("change", draw);
      plot?.destroy();
    },
  };
}
