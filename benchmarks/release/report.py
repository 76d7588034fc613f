"""The results as Markdown, as JSON and as a plot."""

from pathlib import Path

import msgspec
from matplotlib.figure import Figure

from .. import reports
from ..verdicts import median
from .models import MEGABYTE

LOOKS = (("#0072b2", "o"), ("#e69f00", "s"), ("#009e73", "^"))
"""Told apart also by people who see colours differently (Okabe and Ito, 2008), and in grey."""


class Sample(msgspec.Struct, frozen=True):
    """One change of the model. `state`: cold, the model is new here; warm, it is the one before, which was here."""

    way: str
    size: int
    state: str
    publish_s: float
    arrive_s: float
    moved: int

    @property
    def seconds(self) -> float:
        """Of both steps."""
        return self.publish_s + self.arrive_s


class Report(msgspec.Struct, frozen=True):
    """All of one measurement. `opened`: seconds to verify and open the model, by its size; `missing`: why no image."""

    machine: dict[str, str]
    versions: dict[str, str]
    command: str
    count: int
    missing: str
    opened: dict[int, float]
    samples: list[Sample]

    @property
    def ways(self) -> list[str]:
        """In the order in which they were measured."""
        return list(dict.fromkeys(sample.way for sample in self.samples))

    def of(self, way: str, size: int, state: str) -> list[Sample]:
        """The rounds of one cell."""
        return [s for s in self.samples if (s.way, s.size, s.state) == (way, size, state)]


def write(report: Report, folder: Path) -> None:
    """Write release.md, release.json and release.png into the folder."""
    reports.write(folder, "release", report, markdown(report), {"release": draw(report)})


def markdown(report: Report) -> str:
    """The results as a page."""
    written = [
        *reports.head("release", "What a change of the model costs: image, load, package"),
        f"{caption(report)} Medians over the rounds.",
        *([report.missing] if report.missing else []),
        "",
        *table(report),
        "",
        "![Seconds and bytes by size](release.png)",
        "",
        "Publish, arrive (cold): the machine has the model before and everything else, and gets a new one. Back "
        "(warm): it returns to the model before, and nothing is published. Moved: the bytes that left the releasing "
        "machine and those that came to the serving one, together.",
        "",
        *growth(report),
        *_method(report),
        "",
    ]
    return "\n".join(written)


def table(report: Report) -> list[str]:
    """A row for each size and way."""
    lines = [
        "| model (MB) | way | publish (s) | arrive (s) | together (s) | moved (MB) | back (s) | moved (MB) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for size in report.opened:
        for way in report.ways:
            cold, warm = (report.of(way, size, state) for state in ("cold", "warm"))
            lines.append(
                f"| {size} | {way} | {median(cold, 'publish_s'):.2f} | {median(cold, 'arrive_s'):.2f} "
                f"| {median(cold, 'seconds'):.2f} | {median(cold, 'moved') / MEGABYTE:.1f} "
                f"| {median(warm, 'seconds'):.2f} | {median(warm, 'moved') / MEGABYTE:.1f} |"
            )
    return lines


def growth(report: Report) -> list[str]:
    """What a hundred megabytes more cost, from the smallest model to the largest."""
    sizes = list(report.opened)
    if len(sizes) < 2:
        return []
    lines = []
    for way in report.ways:
        first, last = (median(report.of(way, size, "cold"), "seconds") for size in (min(sizes), max(sizes)))
        slope = (last - first) / (max(sizes) - min(sizes)) * 100
        lines.append(f"- {way}: {first:.2f} s for {min(sizes)} MB, and {slope:.2f} s more for each 100 MB.")
    return [*lines, ""]


def caption(report: Report) -> str:
    """What all figures have in common."""
    return reports.caption(report.machine, report.count, ", both sides on one machine, over the loopback")


def draw(report: Report) -> Figure:
    """Seconds and megabytes by size; cold drawn through, warm dashed."""
    figure, panels = reports.panels(caption(report), size=(9, 4.2), columns=2)
    sizes = list(report.opened)
    for axes, of, scale, title in zip(
        panels, ("seconds", "moved"), (1.0, MEGABYTE), ("seconds to change the model", "megabytes moved"), strict=True
    ):
        for way, (colour, marker) in zip(report.ways, LOOKS, strict=False):
            for state, line in (("cold", "-"), ("warm", "--")):
                values = [median(report.of(way, size, state), of) / scale for size in sizes]
                axes.plot(sizes, values, line, marker=marker, color=colour, label=f"{way}, {state}")
        axes.set_xscale("log")
        axes.set_yscale("log" if of == "seconds" else "symlog", **({} if of == "seconds" else {"linthresh": 1}))
        for axis in (axes.xaxis, axes.yaxis):
            reports.plain_numbers(axis)
        axes.set_xticks(sizes)
        axes.set_xlabel("size of the model (MB)")
        axes.set_title(title, fontsize=10)
    panels[1].set_ylim(bottom=-0.3)
    panels[1].legend(loc="upper left", frameon=False, fontsize=8)
    return figure


def _method(report: Report) -> list[str]:
    opened = ", ".join(f"{size} MB {seconds:.2f} s" for size, seconds in report.opened.items())
    return reports.method(
        report.command,
        {},
        "Models: random float32 weights, which compress by 7 %. The two versions of a size have different ones.",
        "image: `docker build` of one layer over a base that both sides have, `docker push` and `docker pull` (the "
        "bytes are those of the layer, as the registry keeps it), or `docker save` and `docker load` where no registry "
        "is named.",
        "load: a copy of the file to an HTTP server; the model-load pattern's loader, which verifies, writes through "
        "to the disk and keeps the model before.",
        "package: the model-in-package pattern's `wheel`, which opens the model, compresses and writes it, onto an "
        "HTTP server; `pip install --target` into an empty folder, with pip's cache, which is empty when a "
        "round begins.",
        "Programs are started for each step, and their start is in the seconds. A machine far away adds the time of "
        "its network for the bytes moved.",
        f"Not in the seconds: to verify and open the model ({opened}), which is the same for all; and to start the "
        "service again, which image and package need and load does not.",
        f"{report.versions['ours']}.",
    )
