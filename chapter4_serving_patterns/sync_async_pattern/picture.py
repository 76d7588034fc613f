"""The demo's plot: what a cascade's accuracy costs, in time of a core and in time of a caller."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from .both import FAST, SLOW
from .worth import Row

NOTED = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
BLUE, ORANGE, GREEN = "#0072b2", "#e69f00", "#009e73"


def draw(curve: Sequence[Row], chosen: Row, count: int, path: Path) -> None:
    """Write the plot: from the fast model alone (left end) to the slow one for every picture (right end)."""
    figure = Figure(figsize=(8.4, 3.8), layout="constrained")  # no pyplot: nothing global, no window
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, value, about in (
        (left, "cost", "model time of one core (ms a picture)"),
        (right, "wait", "mean time to the final answer (ms)"),
    ):
        x, y = [getattr(each, value) for each in curve], [100 * each.accuracy for each in curve]
        axes.plot(x, y, color=BLUE, linewidth=1.2, label="cascade, by threshold")
        axes.plot(x[0], y[0], "s", color=ORANGE, label=f"{FAST} alone")
        axes.plot(x[-1], y[-1], "^", color=GREEN, label=f"{SLOW} for every picture")
        label = f"chosen on the other half: {chosen.threshold:g}"
        axes.plot(getattr(chosen, value), 100 * chosen.accuracy, "o", color="black", label=label)
        for each in curve:
            if each.threshold in NOTED:
                place = (getattr(each, value), 100 * each.accuracy)
                axes.plot(*place, ".", color=BLUE)
                axes.annotate(f"{each.threshold:g}", place, (5, -9), textcoords="offset points", fontsize=7)
        axes.set_xlabel(about)
        axes.grid(linewidth=0.3)
    left.set_ylabel(f"accuracy (%), n={count:,}")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
