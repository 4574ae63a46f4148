"""Charts of a data set: coverage of the cells, lengths of answers, repetition."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from herogen_async.data.charts import COLOURS, png
from herogen_async.data.charts.maps import Map, grid_maps
from herogen_async.specs.sources.cells import Cells, facets_at, is_product

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, RED = COLOURS[0], COLOURS[1], COLOURS[5]
_LABEL = 22  # characters: more would squeeze the plot
_BAR = 0.28  # inches per value
_MOST_BARS = 40
_MOST_LABELS = 24  # per axis of a map; with more, every second, third, ... is labelled
_MOST_NUMBERS = 240  # squares of a map with their number written in
_MOST_GROUPS = 40
_MOST_COUNTED = 1_000_000  # cells: takes some seconds
_UPRIGHT = 28  # characters in total on a horizontal axis: more are rotated
_BINS = 40
_CORNER = 6  # times the longest usual answer: the axis becomes logarithmic
_PAGE = 9.5  # inches
_FOOT = 1e-9  # of the colour scale: above zero, below the smallest non-zero value
_CENTRED: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8}
FATES = {
    "usual": (BLUE, "usual"),
    "cut": (ORANGE, "cut off"),
    "outlier": (RED, "length outliers"),
}


def can_be_drawn(cells: Cells) -> bool:
    """Whether squares of cells can be counted: of all combinations at a glance, of others cell by cell."""
    return cells.size <= _MOST_COUNTED or is_product(cells)


def coverage(cells: Cells, by_cell: Mapping[int, int], *, repeats: int) -> bytes:
    """Where rows are missing. `by_cell`: index of a cell -> rows, without empty cells.

    One facet: one bar per value. Two: a map of the cells. Three: one map per value of the facet with the fewest values,
    if there are few. Otherwise maps of two facets each, the emptiest ones.
    """
    return png(partial(_coverage, cells, by_cell, repeats))


def lengths(words: Mapping[str, Mapping[int, int]], bounds: tuple[float, float] | None) -> bytes:
    """Histogram of words per answer: `words` has words -> rows for `usual`, `cut` and `outlier`."""
    return png(partial(_lengths, words, bounds))


def length_edges(words: Mapping[str, Mapping[int, int]]) -> list[float]:
    """The edges of the bins of a histogram of `words`: all as wide, or growing where the longest answer is far off."""
    counted = [count for fate in FATES for count in words.get(fate, ())]
    return _stretched(max(counted)) if _is_stretched(words) else _edges(counted)


def duplication(nearest: Sequence[float], groups: Sequence[int], *, threshold: float) -> bytes:
    """Similarity of the answers that stay (`nearest`), and the sizes of the groups of repeated answers."""
    return png(partial(_duplication, nearest, groups, threshold))


def _coverage(cells: Cells, by_cell: Mapping[int, int], repeats: int) -> Figure:
    empty = cells.size - len(by_cell)
    if empty:
        title = f"{empty:,} of {cells.size:,} cells {'has' if empty == 1 else 'have'} no examples"
    elif min(by_cell.values()) == max(by_cell.values()):
        title = f"Each of the {cells.size:,} cells has {_examples(max(by_cell.values()))}"
    else:
        fewest, most = min(by_cell.values()), max(by_cell.values())
        title = f"All {cells.size:,} cells have examples: {fewest:,} to {most:,} each"
    if len(cells.facets) == 1:
        return _bars(cells, by_cell, title)
    panels, averaged = grid_maps(cells, by_cell)
    return _maps(panels, title, most=0 if averaged else repeats, averaged=averaged)


def _examples(count: int) -> str:
    return "one example" if count == 1 else f"{count:,} examples"


def _bars(cells: Cells, by_cell: Mapping[int, int], title: str) -> Figure:
    """One bar per value; for many values, those with the fewest rows."""
    ((name, values),) = cells.facets.items()
    count_of: Counter[str] = Counter()
    for index, count in by_cell.items():
        # Of one attribute it is, which nothing stands before, and so applies; of a field, its record may be gone.
        if (value := facets_at(cells, index).get(name)) is not None:
            count_of[value] += count
    rows = [(count_of[value], at) for at, value in enumerate(values)]
    if len(rows) > _MOST_BARS:
        rows = sorted(rows)[:_MOST_BARS]
    figure = _figure(7.5, _BAR * len(rows) + 1.5)
    axes = figure.add_subplot()
    axes.barh(range(len(rows)), [count for count, _ in rows], color=BLUE, height=0.75)
    top = max([*count_of.values(), 1])
    for place, (count, _) in enumerate(rows):
        colour = RED if count == 0 else "black"
        axes.text(count + top / 100, place, f"{count:,}", color=colour, va="center", fontsize=9)
    _name_ticks(axes, "y", range(len(rows)), [label(values[at]) for _, at in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1.1 * top)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    which = name if len(rows) == len(values) else f"{name}: the {len(rows)} of {len(values):,} values with the fewest"
    axes.set_title(label(which, 70), parse_math=False)
    axes.set_xlabel("examples")
    axes.xaxis.set_major_locator(_whole())
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def _maps(panels: Sequence[Map], title: str, *, most: int, averaged: bool) -> Figure:
    """The panels side by side, on one colour scale; empty squares are red."""
    import numpy  # noqa: PLC0415 - comes with matplotlib, an extra

    width, height = _panel_size(panels)
    columns = min(len(panels), max(1, round(_PAGE / width)))
    lines = math.ceil(len(panels) / columns)
    figure = _figure(max(width * columns + 1.2, 6.5), height * lines + 0.7)
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    top = max(most, *(float(numpy.nanmax(panel.rows)) for panel in panels)) or 1.0
    for axes, panel in zip(grid, panels, strict=False):
        image = _draw_map(axes, panel, top)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    bar = figure.colorbar(image, ax=list(grid), shrink=0.8, pad=0.02, aspect=25, extend="min", extendfrac=0.04)
    bar.set_label("mean examples per cell (red: none)" if averaged else "examples (red: none)")
    if not averaged:
        bar.locator = _whole()
        bar.update_ticks()
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def _panel_size(panels: Sequence[Map]) -> tuple[float, float]:
    """Inches for the largest panel, labels included."""
    rows = max(panel.rows.shape[0] for panel in panels)
    columns = max(panel.rows.shape[1] for panel in panels)
    return min(max(0.42 * columns + 1.8, 3.2), 7.0), min(max(0.34 * rows + 1.5, 2.6), 6.5)


def _draw_map(axes: Axes, panel: Map, top: float) -> Any:
    from matplotlib import colormaps  # noqa: PLC0415 - an extra
    from matplotlib.colors import Normalize  # noqa: PLC0415

    colours = colormaps["Blues"].with_extremes(under=RED)
    # Every non-zero value is above the foot of the scale, and so never red.
    image = axes.imshow(panel.rows, cmap=colours, norm=Normalize(_FOOT, top), aspect="auto", interpolation="nearest")
    _name_some(axes, "y", panel.y_values)
    _name_some(axes, "x", panel.x_values)
    axes.set_ylabel(label(panel.y), parse_math=False)
    axes.set_xlabel(label(panel.x), parse_math=False)
    if panel.title:
        axes.set_title(label(panel.title, 40), parse_math=False)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    if panel.rows.size <= _MOST_NUMBERS:
        for (y, x), rows in _numbers(panel):
            dark = rows == 0 or rows > 0.6 * top
            axes.text(
                x, y, f"{rows:.2g}" if rows % 1 else f"{rows:.0f}", color="white" if dark else "black", **_CENTRED
            )
    return image


def _numbers(panel: Map) -> list[tuple[tuple[int, int], float]]:
    lines, columns = panel.rows.shape
    numbers = [((y, x), float(panel.rows[y, x])) for y in range(lines) for x in range(columns)]
    return [(place, rows) for place, rows in numbers if not math.isnan(rows)]


def _lengths(words: Mapping[str, Mapping[int, int]], bounds: tuple[float, float] | None) -> Figure:
    drawn = [(fate, words[fate]) for fate in FATES if words.get(fate)]
    figure = _figure(8.2, 4.0)
    axes = figure.add_subplot()
    edges = length_edges(words)
    if _is_stretched(words):
        axes.set_xscale("log")
    axes.hist(
        [[max(count, 1) for count in counts] for _, counts in drawn],
        bins=edges,
        weights=[list(counts.values()) for _, counts in drawn],
        stacked=True,
        color=[FATES[fate][0] for fate, _ in drawn],
        label=[f"{FATES[fate][1]} ({sum(counts.values()):,})" for fate, counts in drawn],
    )
    for bound in bounds or ():
        if edges[0] < bound < edges[-1]:
            axes.axvline(bound, color="black", linestyle=(0, (5, 3)), linewidth=1.2)
    note = ""
    if bounds is not None:
        note = (
            f"\nusual: {math.ceil(bounds[0]):,} to {math.floor(bounds[1]):,} words; beyond the dashed lines: outliers"
        )
    axes.set_title(f"answers by word count{note}")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel("words")
    axes.set_ylabel("answers")
    axes.yaxis.set_major_locator(_whole())
    if axes.get_xscale() == "linear":
        axes.xaxis.set_major_locator(_whole())
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9, borderaxespad=0)
    figure.suptitle(_lengths_title(words), x=0.01, ha="left")
    return figure


def _edges(counts: Sequence[int]) -> list[float]:
    """Bins of whole words, starting at zero or near the shortest answer."""
    least, most = min(counts, default=0), max(counts, default=0)
    start = 0 if least < most / 2 else least
    step = max(1, math.ceil((most + 1 - start) / _BINS))
    bins = max(1, math.ceil((most + 1 - start) / step))
    return [start - 0.5 + step * number for number in range(bins + 1)]


def _stretched(most: int) -> list[float]:
    """Bins with a constant growth factor, for lengths that differ by orders of magnitude."""
    return [0.5 * (2 * (most + 1)) ** (number / _BINS) for number in range(_BINS + 1)]


def _is_stretched(words: Mapping[str, Mapping[int, int]]) -> bool:
    """Whether the longest answer would squeeze the usual ones into a corner."""
    usual = max(words.get("usual", {}), default=0)
    return max((max(counts) for counts in words.values() if counts), default=0) > _CORNER * max(usual, 1)


def _lengths_title(words: Mapping[str, Mapping[int, int]]) -> str:
    total = sum(sum(counts.values()) for fate, counts in words.items() if fate in FATES)
    cut = sum(words.get("cut", {}).values())
    outliers = sum(words.get("outlier", {}).values())
    if cut:
        return f"{cut:,} of {total:,} answers cut off" + (f", {outliers:,} length outliers" if outliers else "")
    if outliers:
        return f"{outliers:,} of {total:,} answers far shorter or longer than the others"
    return f"No cut-off answers or length outliers ({total:,} answers)"


def _duplication(nearest: Sequence[float], groups: Sequence[int], threshold: float) -> Figure:
    figure = _figure(9.4 if nearest and groups else 7.0, 3.9)
    panels: list[Axes] = list(figure.subplots(1, bool(nearest) + bool(groups), squeeze=False).flatten())
    if nearest:
        _draw_nearest(panels[0], nearest, threshold)
    if groups:
        _draw_groups(panels[-1], groups)
    repeated = sum(groups) - len(groups)
    if repeated:
        title = f"Repeated answers: {repeated:,}"
    else:
        title = f"No repeated answers: the two most similar share {100 * max(nearest, default=0):.0f} %"
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def _draw_nearest(axes: Axes, nearest: Sequence[float], threshold: float) -> None:
    axes.hist(list(nearest), bins=[number / 50 for number in range(51)], color=BLUE)
    axes.axvline(threshold, color="black", linestyle=(0, (5, 3)), linewidth=1.2)
    axes.set_title(
        f"{len(nearest):,} answers, by similarity to their nearest neighbour\ndashed: near-duplicate threshold"
    )
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.set_xlabel("similarity (shared three-word sequences)")
    axes.set_ylabel("answers")
    axes.yaxis.set_major_locator(_whole())
    axes.grid(visible=False, axis="x")


def _draw_groups(axes: Axes, groups: Sequence[int]) -> None:
    shown = sorted(groups, reverse=True)[:_MOST_GROUPS]
    axes.bar(range(1, len(shown) + 1), shown, color=ORANGE, width=0.8)
    which = f"the {len(shown)} largest of {len(groups):,} groups" if len(shown) < len(groups) else "groups"
    axes.set_title(f"{which} of repeated answers,\nby number of rows")
    axes.set_xlim(0.3, max(len(shown), 8) + 0.7)
    axes.set_xlabel("group")
    axes.set_ylabel("rows")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(_whole())
    axes.grid(visible=False, axis="x")


def label(text: str, longest: int = _LABEL) -> str:
    """`text` as one line that fits the chart; characters that the font lacks become `?`."""
    from matplotlib.font_manager import findfont, get_font  # noqa: PLC0415 - an extra

    letters = get_font(findfont("DejaVu Sans"))
    line = " ".join(text.split())
    shown = "".join(each if letters.get_char_index(ord(each)) else "?" for each in line[: longest + 1])
    return shown if len(line) <= longest else f"{shown[: longest - 1]}…"


def _name_some(axes: Axes, axis: str, values: Sequence[str]) -> None:
    """Label the squares of an axis; if there are many, every second, third, ..."""
    step = -(-len(values) // _MOST_LABELS)
    _name_ticks(axes, axis, range(0, len(values), step), [label(value) for value in values[::step]])


def _name_ticks(axes: Axes, axis: str, places: Sequence[int], names: Sequence[str]) -> None:
    if axis == "y":
        axes.set_yticks(places, names)
        ticks = axes.get_yticklabels()
    else:
        upright = sum(len(name) + 1 for name in names) <= _UPRIGHT
        turned: dict[str, Any] = {} if upright else {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(places, names, **turned)
        ticks = axes.get_xticklabels()
    for tick in ticks:
        tick.set_parse_math(False)  # a `$` in a value does not start a formula
        tick.set_fontsize(9 if len(names) <= _MOST_LABELS / 2 else 7)


def _whole() -> Any:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - an extra

    return MaxNLocator(nbins=6, integer=True)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    return Figure(figsize=(width, height), layout="constrained")
