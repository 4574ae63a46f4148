// The losses of a fine-tune over its steps; `total` of them, where that is known.
import uPlot from "./vendor/uPlot-1.6.32.js";
import { fill, h } from "./dom.js";

const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const height = () => (innerHeight > 1300 ? 380 : 220);

export function lossChart(place) {
  let plot = null;
  let last = null;
  const draw = () => {
    plot?.destroy();
    plot = null;
    if (last === null || last.step.length === 0) return fill(place, h("p", { class: "quiet" }, "The losses appear here with the first steps."));
    fill(place);
    const axis = { stroke: ink("--ink-2"), grid: { stroke: ink("--line"), width: 1 }, ticks: { stroke: ink("--line"), width: 1 }, font: "12px system-ui" };
    const few = last.step.length < 60;
    const points = (colour, size) => ({ show: few, size, fill: colour, stroke: colour });
    const loss = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));
    plot = new uPlot(
      {
        width: Math.max(place.clientWidth, 200),
        height: height(),
        scales: { x: { time: false, range: (_, low, high) => [Math.min(low, last.total ?? low), Math.max(high, last.total ?? 0, low + 1)] } },
        series: [
          { label: "step", value: (_, value) => (value === null ? "–" : String(value)) },
          { label: "training loss", stroke: ink("--c0"), width: 1.5, spanGaps: true, points: points(ink("--c0"), 5), value: (_, value) => loss(value) },
          { label: "held-out loss", stroke: ink("--c1"), width: 1.5, dash: [6, 4], spanGaps: true, points: { ...points(ink("--c1"), 8), show: true }, value: (_, value) => loss(value) },
        ],
        axes: [{ ...axis, space: 60, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000, 100000] }, { ...axis, space: 36, size: 56 }],
        cursor: { drag: { x: true, y: false } },
        legend: { live: true },
        hooks: { ready: [(self) => self.setLegend({ idx: last.step.length - 1 })] },
      },
      [last.step, last.train, last.valid],
      place,
    );
    return plot;
  };
  const watch = new ResizeObserver(() => plot?.setSize({ width: Math.max(place.clientWidth, 200), height: height() }));
  watch.observe(place);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", draw);
  return {
    show(losses) {
      last = losses;
      draw();
    },
    end() {
      watch.disconnect();
      scheme.removeEventListener("change", draw);
      plot?.destroy();
    },
  };
}
