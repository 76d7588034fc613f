"""The results as Markdown, as JSON and as a plot."""

from pathlib import Path
from typing import NamedTuple

import msgspec
from matplotlib.figure import Figure

from .. import reports
from ..verdicts import Target, median, paired, verdicts
from .ways import BINARY, JSON, NONE, OURS, SIDES, WAYS

COLOURS = ("#999999", "#e69f00", "#56b4e9", "#0072b2")
"""Told apart also by people who see colours differently (Okabe and Ito, 2008)."""
HATCHES = ("", "//", "..", "")
FASTER = 20.0


class Cell(NamedTuple):
    """One way for pictures of one size."""

    way: str
    side: int


class Sample(msgspec.Struct, frozen=True):
    """One round of a cell: milliseconds an item, read alone, read with others at once, and written."""

    read_ms: float
    several_ms: float
    write_ms: float


Rounds = dict[Cell, list[Sample]]


class Report(msgspec.Struct, frozen=True):
    """All of one measurement. `sizes` are the bytes of one item in Redis, 0 without a cache."""

    machine: dict[str, str]
    versions: dict[str, str]
    command: str
    count: int
    batch: int
    sizes: dict[Cell, int]
    rounds: Rounds


def write(report: Report, folder: Path) -> None:
    """Write data_cache.md, data_cache.json and data_cache.png into the folder."""
    cells = [
        cell._asdict() | {"bytes": report.sizes[cell], "rounds": msgspec.to_builtins(samples)}
        for cell, samples in report.rounds.items()
    ]
    names = ("machine", "versions", "command", "count", "batch")
    content = {name: getattr(report, name) for name in names} | {"cells": cells}
    reports.write(folder, "data_cache", content, markdown(report), {"data_cache": draw(report)})


def markdown(report: Report) -> str:
    """The results as a page."""
    written = [
        *reports.head("data_cache", "What it takes to have an item's tensor"),
        f"{caption(report)} Medians over the rounds; ratios are taken within each round.",
        "",
        *verdicts(targets(report)),
        "",
    ]
    for side in SIDES:
        written += [f"## {side} × {side} pixels", "", *table(report, side), ""]
    return "\n".join([*written, *_method(report), ""])


def targets(report: Report) -> list[Target]:
    """What was promised: for the same floats, and for what the pattern really keeps."""
    return [
        Target(
            f"JSON against {what}, times the milliseconds to read 224 × 224",
            ratio(report, JSON.name, name),
            FASTER,
            True,
        )
        for what, name in (("the same floats in binary", BINARY.name), ("this pattern", OURS.name))
    ]


def ratio(report: Report, way: str, other: str, side: int = 224) -> float:
    """Of the milliseconds to read one item."""
    samples, others = report.rounds[Cell(way, side)], report.rounds[Cell(other, side)]
    return paired(samples, others, lambda sample: sample.read_ms)


def table(report: Report, side: int) -> list[str]:
    """A row for each way."""
    lines = [
        f"| | bytes an item | read (ms) | of {report.batch} at once, each (ms) | write (ms) | read, against no cache |",
        "|---|---|---|---|---|---|",
    ]
    for way in WAYS:
        cell = Cell(way.name, side)
        size, samples = report.sizes[cell], report.rounds[cell]
        read, several, write = (median(samples, name) for name in ("read_ms", "several_ms", "write_ms"))
        kept = f"{size:,}" if size else "–"
        wrote = f"{write:.3f}" if size else "–"
        against = f"× {ratio(report, way.name, NONE.name, side):.3f}"
        lines.append(f"| {way.name} | {kept} | {read:.3f} | {several:.3f} | {wrote} | {against} |")
    return lines


def caption(report: Report) -> str:
    """What all figures have in common."""
    return reports.caption(report.machine, report.count)


def draw(report: Report) -> Figure:
    """Milliseconds to read an item, and bytes of it, by size."""
    figure, panels = reports.panels(caption(report), size=(9, 4.2), columns=2)
    cells = {way.name: [Cell(way.name, side) for side in SIDES] for way in WAYS}
    read = {name: [median(report.rounds[cell], "read_ms") for cell in row] for name, row in cells.items()}
    kept = {name: [report.sizes[cell] / 1024 for cell in row if report.sizes[cell]] for name, row in cells.items()}
    titles = ("one item, read (ms)", "one item in Redis (KiB)")
    for axes, heights, title in zip(panels, (read, kept), titles, strict=True):
        reports.grouped_bars(axes, [f"{side} × {side}" for side in SIDES], heights, COLOURS, HATCHES)
        axes.set(yscale="log", title=title, xlabel="pixels")
        axes.margins(y=0.15)
        reports.plain_numbers(axes.yaxis)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def _method(report: Report) -> list[str]:
    return reports.method(
        report.command,
        report.versions,
        "The item is a photograph, a PNG of 224 × 224 pixels in a folder. Floats are float32 [1, 3, side, side], "
        "scaled as the book's networks want them; pixels are uint8 [side, side, 3], and the model file scales them.",
        "To read is to have the NumPy array: GET and decode, or read the file, decode and resize the picture. To "
        "write is to encode the array and SET. One connection over TCP on the same machine; MGET for several.",
        "Rounds are interleaved: each figure once, then each again. Every way must give back what it was given.",
    )
