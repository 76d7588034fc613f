"""The results as Markdown, as JSON and as a plot."""

import shlex
import statistics
from pathlib import Path

import msgspec
from matplotlib.figure import Figure

from .. import load, reports
from ..verdicts import median, paired
from .bench import Cell, Sample
from .deployments import DEPLOYMENTS

COLOURS = ("#0072b2", "#56b4e9", "#e69f00")
"""Told apart also by people who see colours differently (Okabe and Ito, 2008)."""
Rounds = dict[Cell, list[Sample]]
NAMES = [deployment.name for deployment in DEPLOYMENTS]


class Report(msgspec.Struct, frozen=True):
    """All of one measurement. `sizes` are the bytes of each payload."""

    machine: dict[str, str]
    versions: dict[str, str]
    command: str
    seconds: int
    count: int
    many: int
    sizes: dict[str, int]
    rounds: Rounds


def write(report: Report, folder: Path) -> None:
    """Write prep_pred.md, prep_pred.json and prep_pred.png into the folder."""
    reports.write(folder, "prep_pred", reports.by_cell(report), markdown(report), {"prep_pred": draw(report)})


def markdown(report: Report) -> str:
    """The results as a page."""
    written = [
        *reports.head("prep_pred", "Prep and prediction, split and in one process"),
        f"{caption(report)} Medians over the rounds; ratios are taken within each round.",
        "",
    ]
    for payload, size in report.sizes.items():
        written += [f"## {payload} ({size:,} bytes)", "", *table(report, payload), "", *_price(report, payload), ""]
    return "\n".join([*written, *_method(report), ""])


def table(report: Report, payload: str) -> list[str]:
    """A row for each deployment."""
    lines = [
        f"| | p50 (ms), 1 client | p99 (ms) | requests a second, {report.many} clients | p99 (ms) | CPU (ms/request) |",
        "|---|---|---|---|---|---|",
    ]
    for name in NAMES:
        one, many = (report.rounds[Cell(name, payload, clients)] for clients in (1, report.many))
        parts = {part: statistics.median(sample.cpu_ms[part] for sample in many) for part in many[0].cpu_ms}
        shown = " + ".join(f"{part} {value:.2f}" for part, value in parts.items()) if len(parts) > 1 else ""
        lines.append(
            f"| {name} | {median(one, 'p50_us') / 1000:.2f} | {median(one, 'p99_us') / 1000:.2f} "
            f"| {median(many, 'per_second'):,.0f} | {median(many, 'p99_us') / 1000:.1f} "
            f"| {median(many, 'cpu'):.2f}{f' ({shown})' * bool(shown)} |"
        )
    return lines


def _price(report: Report, payload: str) -> list[str]:
    def ratio(of: str, clients: int, other: str) -> float:
        split, fused = (report.rounds[Cell(name, payload, clients)] for name in ("split", other))
        return paired(split, fused, lambda sample: float(getattr(sample, of)))

    many = report.many
    return [
        f"Split against fused: p50 of one client × {ratio('p50_us', 1, 'fused'):.2f}, "
        f"throughput × {ratio('per_second', many, 'fused'):.2f}, CPU × {ratio('cpu', many, 'fused'):.2f}; "
        f"against two fused processes: throughput × {ratio('per_second', many, 'fused × 2'):.2f}."
    ]


def caption(report: Report) -> str:
    """What all figures have in common."""
    return reports.caption(report.machine, report.count, f" of {report.seconds} s for each figure")


def draw(report: Report) -> Figure:
    """Latency of one client and throughput of many, by payload."""
    figure, panels = reports.panels(caption(report), size=(9, 4.2), columns=2)
    titles = ("one client: median latency (ms)", f"{report.many} clients: requests a second")
    for axes, clients, of, scale, title in zip(
        panels, (1, report.many), ("p50_us", "per_second"), (1000, 1), titles, strict=True
    ):
        heights = {
            name: [median(report.rounds[Cell(name, payload, clients)], of) / scale for payload in report.sizes]
            for name in NAMES
        }
        reports.grouped_bars(axes, list(report.sizes), heights, COLOURS)
        axes.set_yscale("log")
        reports.plain_numbers(axes.yaxis)
        axes.set_title(title, fontsize=10)
    panels[1].legend(frameon=False, fontsize=9)
    return figure


def _method(report: Report) -> list[str]:
    headers = ["Content-Type: TYPE"]
    wrk = load.command("PORT", "/predict", "@FILE", report.seconds, connections=report.many, headers=headers)
    said = reports.method(
        report.command,
        report.versions,
        f"Load: `{shlex.join(wrk)}`. Every request is answered, or the run fails.",
        "Rounds are interleaved: each figure once, then each again. While one deployment is measured the others are "
        "stopped by SIGSTOP. All must first answer every picture alike.",
        "CPU is processor time of the processes by the requests answered; the load generator, on the same machine, "
        "is not in it.",
    )
    return [
        *said,
        "",
        "## The processes, with every variable",
        "",
        *(
            reports.process(deployment.name, process.environment, process.command)
            for deployment in DEPLOYMENTS
            for process in deployment.processes
        ),
    ]
