"""The demo's plot: how long requests take, with and without the cache."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

COLOURS = ("#e69f00", "#0072b2", "#009e73")
"""Told apart also by people who see colours differently (Okabe and Ito, 2008)."""
STYLES = ("--", "-", ":")


def draw(found: dict[str, list[float]], path: Path) -> None:
    """Write the plot: for each way, the share of requests that took no longer than so many milliseconds an item."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")  # no pyplot: nothing global, no window
    axes = figure.add_subplot()
    for (way, ms), colour, style in zip(found.items(), COLOURS, STYLES, strict=True):
        shares = [(number + 1) / len(ms) * 100 for number in range(len(ms))]
        axes.step(sorted(ms), shares, color=colour, linestyle=style, where="post", label=f"{way} (n={len(ms)})")
    axes.set(xscale="log", xlabel="time of an item (ms)", ylabel="requests that took no longer (%)", ylim=(0, 101))
    axes.set_xticks([0.5, 1, 2, 5, 10, 20, 50, 100])
    axes.set_xlim(min(map(min, found.values())) * 0.9, max(map(max, found.values())) * 1.1)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title("A prediction, with its tensor from the cache and made anew")
    figure.legend(loc="outside lower center", ncols=3, fontsize="small", frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
