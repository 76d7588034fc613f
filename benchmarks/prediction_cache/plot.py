"""The results as a plot: time and processor time over the hit rate."""

from matplotlib.figure import Figure

from .. import reports

STYLES = {"cache": ("#0072b2", "o"), "without": ("#e69f00", "^")}
"""Told apart also by people who see colours differently (Okabe and Ito, 2008)."""


def draw(curves: dict[str, list[tuple[float, float, float]]], even: float, caption: str) -> Figure:
    """curves: (hit rate, mean ms, processor ms) by variant; even: hit rate of the break-even."""
    figure, panels = reports.panels(caption, size=(8.4, 3.8), columns=2)
    for axes, place, title in zip(panels, (1, 2), ("mean time (ms)", "processor time (ms a request)"), strict=True):
        for name, points in curves.items():
            colour, marker = STYLES[name]
            rates = [100 * point[0] for point in points]
            axes.plot(rates, [point[place] for point in points], color=colour, marker=marker, label=name)
        axes.set(xlabel="hit rate of the traffic (%)", title=title, ylim=(0, None))
    if even <= 1:
        panels[0].axvline(100 * even, color="black", linestyle="--", linewidth=0.8)
        panels[0].annotate(f" gains from {even:.0%}", (100 * even, 0), fontsize=8, va="bottom")
    panels[1].legend(frameon=False, fontsize=9)
    return figure
