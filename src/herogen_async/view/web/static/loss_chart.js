// The losses of a fine-tune over its steps; `total` of them, where that is known.
import { axis, chart, ink } from "./chart.js";

const TALL = 380;

export function lossChart(place) {
  let last = null;
  const { draw, end } = chart(place, TALL, () => {
    if (last === null || last.step.length === 0) return "The losses appear here with the first steps.";
    const few = last.step.length < 60;
    const points = (colour, size) => ({ show: few, size, fill: colour, stroke: colour });
    const loss = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));
    return {
      data: [last.step, last.train, last.valid],
      scales: { x: { time: false, range: (_, low, high) => [Math.min(low, last.total ?? low), Math.max(high, last.total ?? 0, low + 1)] } },
      series: [
        { label: "step", value: (_, value) => (value === null ? "–" : String(value)) },
        { label: "training loss", stroke: ink("--c0"), width: 1.5, spanGaps: true, points: points(ink("--c0"), 5), value: (_, value) => loss(value) },
        { label: "held-out loss", stroke: ink("--c1"), width: 1.5, dash: [6, 4], spanGaps: true, points: { ...points(ink("--c1"), 8), show: true }, value: (_, value) => loss(value) },
      ],
      axes: [{ ...axis(), space: 60, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000, 100000] }, { ...axis(), space: 36, size: 56 }],
    };
  });
  return {
    show(losses) {
      last = losses;
      draw();
    },
    end,
  };
}
