"""The plots: throughput by bound, and by workers and threads."""

from matplotlib.figure import Figure

from .. import reports
from . import figures, servers
from .figures import Rounds, row
from .plan import BATCHED, MANY, SWEPT, Cell, Plan

COLOURS = ("#0072b2", "#e69f00", "#009e73")
"""Told apart also by people who see colours differently (Okabe and Ito, 2008)."""
MARKERS = ("o", "s", "^")
TITLES = {
    "cifar10_small": "cifar10_small (convolutions: bound by computing)",
    "dense": "three dense layers of 2048 (bound by memory)",
    "iris_rf": "iris_rf (forest)",
}


def batching(rounds: Rounds, plan: Plan, caption: str) -> Figure:
    """Throughput as a multiple of that without batching, by bound."""
    figure, (axes,) = reports.panels(caption, size=(7.5, 4.6))
    for model, colour, marker in zip(BATCHED, COLOURS, MARKERS, strict=True):
        gains = [figures.gain(rounds, model, servers.bound(each)) for each in plan.bounds]
        axes.plot(plan.bounds, gains, color=colour, marker=marker, label=TITLES[model])
    axes.axhline(1, color="grey", linewidth=0.8, linestyle="--")
    axes.axvline(servers.shipped().max_batch, color="grey", linewidth=0.8, linestyle=":", label="as shipped")
    axes.set_xscale("log", base=2)
    axes.set_xticks(plan.bounds, [str(each) for each in plan.bounds])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("bound on a batch (rows; 1: batching is off)")
    axes.set_ylabel("throughput (× of that without batching)")
    axes.set_title(f"Batching, {MANY} clients that each ask for one row")
    axes.legend(frameon=False, fontsize=9)
    return figure


def sweep(rounds: Rounds, plan: Plan, caption: str) -> Figure:
    """Bars of requests a second with whiskers from the slowest to the fastest round, a panel for each column."""
    said = f"Workers × ONNX threads: median, least and most of the rounds\n{caption}"
    figure, panels = reports.panels(said, size=(9, 6), rows=2, columns=2)
    for across, clients in enumerate((1, MANY)):
        for down, model in enumerate(SWEPT):
            axes = panels[2 * down + across]
            cells = [Cell(servers.threads(*pair), model, "binary", clients) for pair in plan.pairs]
            found = [row(rounds[cell]) for cell in cells]
            medians = [each.per_second for each in found]
            whiskers = [
                [each.per_second - each.least for each in found],
                [each.most - each.per_second for each in found],
            ]
            colours = ["#1f4e79" if cell.server == servers.DEFAULT else "#bdbdbd" for cell in cells]
            axes.bar(range(len(cells)), medians, yerr=whiskers, color=colours, edgecolor="black", capsize=3)
            axes.set_xticks(range(len(cells)), [f"{workers}×{threads}" for workers, threads in plan.pairs])
            axes.yaxis.set_major_formatter("{x:,.0f}")
            axes.set_ylabel("requests/s")
            axes.set_title(f"{model}, {clients} client{'s' * (clients > 1)}", fontsize=10)
    for axes in panels[2:]:
        axes.set_xlabel("inferences at a time × threads (dark: as shipped)")
    return figure
