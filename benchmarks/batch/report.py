"""The results as Markdown, as JSON and as a plot."""

import statistics
from pathlib import Path

import msgspec
from matplotlib.figure import Figure

from .. import reports
from ..verdicts import Target, median, paired, verdicts
from .bench import CHUNK_ROWS
from .figures import ONE, ROW_BY_ROW, SHARES, SMALL, STEPS, TWO, Rounds, Sample

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#999999")
"""Told apart also by people who see colours differently (Okabe and Ito, 2008)."""


class Report(msgspec.Struct, frozen=True):
    """All of one measurement. seconds: of the row-by-row way in each round."""

    machine: dict[str, str]
    versions: dict[str, str]
    command: str
    rows: int
    seconds: int
    count: int
    rounds: Rounds


def write(report: Report, folder: Path) -> None:
    """Write batch.md, batch.json and batch.png into the folder."""
    reports.write(folder, "batch", report, markdown(report), {"batch": draw(report)})


def targets(report: Report) -> list[Target]:
    """What was promised, and what came of it."""
    rounds = report.rounds

    def ratio(one: str, other: str) -> float:
        return paired(rounds[one], rounds[other], _speed)

    peak, small = (max(sample.peak_mb for sample in rounds[name]) for name in (ONE, SMALL))
    return [
        Target("one job: rows a second", _median(report, ONE, "per_second"), 100_000, at_least=True),
        Target(f"peak memory of a job over {report.rows:,} rows (MB)", peak, 300, at_least=False),
        Target("the same by that over a tenth of the rows", peak / small, 1.1, at_least=False),
        Target("two jobs by one", ratio(TWO, ONE), 1.6, at_least=True),
        Target("one job by row by row", ratio(ONE, ROW_BY_ROW), 50, at_least=True),
    ]


def shares(report: Report) -> dict[str, float]:
    """What part of a job's time each step takes: medians over the rounds."""
    samples = [sample.seconds for sample in report.rounds[SHARES]]
    return {step: statistics.median(each[step] / sum(each.values()) for each in samples) for step in STEPS}


def markdown(report: Report) -> str:
    """The results as a page."""
    written = [
        *reports.head("batch", "Rows through a batch job"),
        f"{caption(report)} Medians over the rounds; ratios are taken within each round.",
        "",
        *verdicts(targets(report)),
        "",
        "![Rows a second, and where the time goes](batch.png)",
        "",
        "| way | rows a second | with the process's start (s) | peak memory (MB) |",
        "|---|---|---|---|",
        *(_row(report, name) for name in (ONE, TWO, SMALL, ROW_BY_ROW)),
        "",
        "| step of one job | share of the time |",
        "|---|---|",
        *(f"| {step} | {share:.0%} |" for step, share in shares(report).items()),
        "",
        *_method(report),
        "",
    ]
    return "\n".join(written)


def caption(report: Report) -> str:
    """What all figures have in common."""
    return reports.caption(report.machine, report.count, f" of {report.rows:,} rows for each figure")


def draw(report: Report) -> Figure:
    """Rows a second of each way, and the shares of one job."""
    figure, (left, right) = reports.panels(caption(report), size=(9, 3.8), columns=2)
    names = (ONE, TWO, ROW_BY_ROW)
    bars = left.bar(names, [_median(report, name, "per_second") for name in names], 0.6, color=COLOURS[0])
    left.bar_label(bars, fmt=lambda value: f"{value:,.0f}", fontsize=8)
    left.set_title("rows a second", fontsize=10)
    begin = 0.0
    for (step, share), colour in zip(shares(report).items(), COLOURS, strict=True):
        right.barh([0], [share * 100], 0.4, left=begin * 100, color=colour, label=f"{step} {share:.0%}")
        begin += share
    right.set(yticks=[], xlabel="share of one job's time (%)", xlim=(0, 100), ylim=(-1, 1))
    right.legend(frameon=False, fontsize=8, ncols=2, loc="upper center")
    return figure


def _row(report: Report, name: str) -> str:
    wall, peak = _median(report, name, "wall_s"), _median(report, name, "peak_mb")
    shown = f"{wall:.1f} | {peak:.0f}" if wall else "– | –"
    return f"| {name} | {_median(report, name, 'per_second'):,.0f} | {shown} |"


def _speed(sample: Sample) -> float:
    return sample.per_second


def _median(report: Report, name: str, of: str) -> float:
    return median(report.rounds[name], of)


def _method(report: Report) -> list[str]:
    return reports.method(
        report.command,
        report.versions,
        "Each figure has a fresh copy of a database of iris flowers, and a checkpoint before. The server is the "
        "embedded one with its defaults: commits wait for the disk (`fsync` and `synchronous_commit` are on).",
        f"{ONE}, {TWO}: `python -m chapter4_serving_patterns.batch_pattern.job`, in chunks of {CHUNK_ROWS:,} rows. "
        "Rows a second are those of the run by the time from before its plan until all is marked as done, by the "
        "database's clock. Every item must have one prediction, or the measurement fails.",
        "Peak memory is the largest resident set of a job's process, as the kernel tells at its end.",
        f"{SHARES}: the job's loop once more, with a clock around each step. Python is decoding and arrays; write is "
        "`COPY` with its packing, the claim, the mark and the commit.",
        f"{ROW_BY_ROW}: one item selected, predicted, inserted, committed after the other, for {report.seconds} s.",
    )
