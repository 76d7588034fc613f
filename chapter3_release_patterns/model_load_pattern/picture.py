"""The demo's plot: every request's time, by the model that answered it."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from .traffic import Answer

COLOURS = ("#0072b2", "#e69f00")
MARKERS = ("o", "^")


def draw(answers: list[Answer], events: list[tuple[float, str]], path: Path) -> None:
    """Write the plot: a dot for each request, a line where the registry changed."""
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")  # no pyplot: nothing global, no window
    axes = figure.add_subplot()
    models = list(dict.fromkeys(answer.sha256 for answer in answers if answer.sha256))
    for sha256, colour, marker in zip(models, COLOURS, MARKERS, strict=False):
        own = [answer for answer in answers if answer.sha256 == sha256]
        label = f"model {sha256[:12]} (n={len(own):,})"
        axes.scatter([a.at for a in own], [a.ms for a in own], s=5, c=colour, marker=marker, label=label, linewidths=0)
    changes = [(at, event.partition(": ")[2]) for at, event in events if event.startswith("registry: ")]
    for number, (at, event) in enumerate(changes):
        axes.axvline(at, color="black", linestyle="--", linewidth=0.8)
        axes.annotate(f" {event}", (at, 0.98 - 0.06 * number), xycoords=("data", "axes fraction"), fontsize=7, va="top")
    axes.set(yscale="log", xlabel="time (s)", ylabel="request (ms)", title="Swaps under load")
    axes.set_ylim(top=4 * max(answer.ms for answer in answers))  # room for what the lines say
    axes.set_yticks([0.5, 1, 2, 5, 10], minor=False)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    figure.legend(loc="outside lower center", ncols=2, fontsize="small", markerscale=3, frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
