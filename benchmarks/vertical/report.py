"""The results as Markdown, as JSON and as a plot."""

import shlex
import statistics
from collections.abc import Callable
from pathlib import Path

import msgspec
from matplotlib.figure import Figure

from .. import load, reports
from ..verdicts import median, paired
from .bench import Cell, Sample
from .deployments import PROCESSES, STAGES, TARGETS, Process

COLOURS = ("#0072b2", "#56b4e9", "#009e73", "#e69f00")
"""Of the stages and of the chain's own; told apart also by people who see colours differently (Okabe and Ito, 2008)."""
Rounds = dict[Cell, list[Sample]]


class Report(msgspec.Struct, frozen=True):
    """All of one measurement."""

    machine: dict[str, str]
    versions: dict[str, str]
    command: str
    seconds: int
    count: int
    many: int
    rounds: Rounds


def write(report: Report, folder: Path) -> None:
    """Write vertical.md, vertical.json and vertical.png into the folder."""
    reports.write(folder, "vertical", reports.by_cell(report), markdown(report), {"vertical": draw(report)})


def markdown(report: Report) -> str:
    """The results as a page."""
    return "\n".join(
        [
            *reports.head("vertical", "A vertical chain, its stages, and the same steps in one process"),
            f"{caption(report)} Medians over the rounds; ratios and differences are taken within each round.",
            "",
            *table(report),
            "",
            *prices(report),
            "",
            *_method(report),
            "",
        ]
    )


def table(report: Report) -> list[str]:
    """A row for each target."""
    lines = [
        f"| | p50 (ms), 1 client | p99 (ms) | requests a second, {report.many} clients | p99 (ms) | CPU (ms/request) |",
        "|---|---|---|---|---|---|",
    ]
    for target in TARGETS:
        one, many = (report.rounds[Cell(target.name, clients)] for clients in (1, report.many))
        rate, cpu_ms = median(many, "per_second"), median(many, "cpu_ms")
        lines.append(
            f"| {target.name} | {median(one, 'p50_us') / 1000:.2f} | {median(one, 'p99_us') / 1000:.2f} "
            f"| {rate:,.0f} | {median(many, 'p99_us') / 1000:.1f} | {cpu_ms:.2f} |"
        )
    return lines


def prices(report: Report) -> list[str]:
    """What chain, early exit and split cost and save."""
    many, early = report.many, "chain, an outlier"

    def ratio(of: Callable[[Sample], float], clients: int, one: str, other: str) -> float:
        return paired(report.rounds[Cell(one, clients)], report.rounds[Cell(other, clients)], of)

    return [
        f"- The chain's own cost: p50 of one client {own_ms(report):.2f} ms over the sum of its stages' p50.",
        f"- An outlier's early exit against the whole chain: p50 × {ratio(_p50_ms, 1, early, 'chain'):.2f}, "
        f"throughput × {ratio(_speed, many, early, 'chain'):.2f}.",
        f"- The split against one process: p50 × {ratio(_p50_ms, 1, 'chain', 'one process'):.2f}, "
        f"throughput × {ratio(_speed, many, 'chain', 'one process'):.2f}, "
        f"CPU × {ratio(_cpu_ms, many, 'chain', 'one process'):.2f} (the chain is four processes).",
    ]


def own_ms(report: Report) -> float:
    """Milliseconds of the chain that are not its stages'."""
    rows = [report.rounds[Cell(name, 1)] for name in ("chain", *STAGES)]
    return statistics.median(_p50_ms(chain) - sum(map(_p50_ms, stages)) for chain, *stages in zip(*rows, strict=True))


def _p50_ms(sample: Sample) -> float:
    return sample.p50_us / 1000


def _speed(sample: Sample) -> float:
    return sample.per_second


def _cpu_ms(sample: Sample) -> float:
    return sample.cpu_ms


def caption(report: Report) -> str:
    """What all figures have in common."""
    return reports.caption(report.machine, report.count, f" of {report.seconds} s for each figure")


def draw(report: Report) -> Figure:
    """Where one client's time goes: the stages and the rest of the chain; the early exit; one process."""
    figure, (axes,) = reports.panels(caption(report), size=(8, 3.4))
    left = 0.0
    parts = {name: median(report.rounds[Cell(name, 1)], "p50_us") / 1000 for name in STAGES}
    for (name, width), colour in zip(
        ({**parts, "the chain and three hops": own_ms(report)}).items(), COLOURS, strict=True
    ):
        axes.barh("chain", width, left=left, color=colour, label=name)
        left += width
    for name in ("chain, an outlier", "one process", "one process, an outlier"):
        width = median(report.rounds[Cell(name, 1)], "p50_us") / 1000
        axes.bar_label(axes.barh(name, width, color="#999999"), fmt="%.2f", fontsize=8, padding=2)
    axes.text(left, 0, f" {left:.2f}", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("median latency of one client (ms)")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _method(report: Report) -> list[str]:
    wrk = load.command("PORT", "PATH", "BODY", report.seconds, connections=report.many)
    said = reports.method(
        report.command,
        report.versions,
        f"Load: `{shlex.join(wrk)}`. Every request is answered by 200, or the run fails.",
        "Rounds are interleaved: each figure once, then each again. All processes run, each with one worker; those "
        "that are not asked are idle. The chain and the single process must first answer alike.",
        "CPU is processor time of the processes by the requests answered; the load generator, on the same machine, "
        "is not in it.",
    )
    return [
        *said,
        "",
        "## The processes, with every variable, and the requests",
        "",
        *(_process(process) for process in PROCESSES),
        *(f"- {target.name}: `POST {target.path}` to {target.process}, `{target.body}`" for target in TARGETS),
    ]


def _process(process: Process) -> str:
    quoted = {name: shlex.quote(value) for name, value in process.environment.items()}
    return reports.process(process.name, quoted, process.command).replace("{{", "{").replace("}}", "}")
