"""Charts as PNG, in one style. Needs matplotlib, the [plot] extra; raises ImportError without it.

One message per chart. The colours are Okabe and Ito's, which people with any colour vision can tell apart.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_MATPLOTLIB = "No plots: matplotlib is not installed. To get plots: pip install 'herogen-async[plot]'"
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
GREY, _INK = "#8C8C8C", "#333333"
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "legend.frameon": False,
    "figure.titlesize": 13,
    "figure.titleweight": "bold",
}
_DPI = 130


def png(picture: Callable[[], Figure]) -> bytes:
    """The figure that `picture` draws, as PNG bytes. Raises ImportError without matplotlib."""
    from matplotlib import rc_context  # noqa: PLC0415 - an extra, and half a second

    with rc_context(_STYLE):
        file = io.BytesIO()
        picture().savefig(file, format="png", dpi=_DPI)
        return file.getvalue()
