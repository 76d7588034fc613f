"""The demo's plot: every request's time, by where its answer came from."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from .traffic import Reply

STYLES = {"miss": ("#e69f00", "^"), "hit": ("#0072b2", "o"), "stale": ("#009e73", "s"), "bypass": ("#cc79a7", "x")}


def draw(replies: list[Reply], pictures: int, path: Path) -> None:
    """Write the plot: a mark for each request, in the order in which they were sent."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")  # no pyplot: nothing global, no window
    axes = figure.add_subplot()
    for cache, (colour, marker) in STYLES.items():
        places = [place for place, reply in enumerate(replies, 1) if reply.cache == cache]
        if places:
            times = [replies[place - 1].ms for place in places]
            label = f"{cache} (n={len(places):,})"
            axes.scatter(places, times, s=7, c=colour, marker=marker, label=label, linewidths=0.6)
    axes.set(
        yscale="log",
        xlabel="request",
        ylabel="time (ms)",
        title=f"{len(replies):,} requests for {pictures} pictures, the k-th as often as 1/k",
    )
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    figure.legend(loc="outside lower center", ncols=4, fontsize="small", markerscale=2, frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
