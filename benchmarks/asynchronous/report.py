"""The results as Markdown, as JSON and as a plot."""

import shlex
import statistics
from pathlib import Path

import msgspec
from matplotlib.figure import Figure

from .. import load, reports
from ..verdicts import Target, median, paired, verdicts
from .bench import BATCH, CLIENTS, DEPTH, IN_FLIGHT
from .cells import (
    ALONE,
    BY_API,
    BY_CALL,
    DRAINED,
    ENQUEUEING,
    LARGE,
    LATENCY,
    MODELS,
    POLLED,
    SMALL,
    THROUGHPUT,
    TOLD,
    WHOLE,
    Cell,
    Rounds,
)
from .stack import API_WORKERS, PROCESSES, WORKERS
from .waiting import POLL_S

COLOURS = ("#999999", "#0072b2", "#e69f00")
"""Told apart also by people who see colours differently (Okabe and Ito, 2008)."""


class Report(msgspec.Struct, frozen=True):
    """All of one measurement. size: bytes of the picture; jobs: how many single ones were timed in a round."""

    machine: dict[str, str]
    versions: dict[str, str]
    command: str
    seconds: int
    count: int
    jobs: int
    size: int
    rounds: Rounds


def write(report: Report, folder: Path) -> None:
    """Write asynchronous.md, asynchronous.json and asynchronous.png into the folder."""
    plots = {"asynchronous": draw(report)}
    reports.write(folder, "asynchronous", reports.by_cell(report), markdown(report), plots)


def targets(report: Report) -> list[Target]:
    """What was promised, and what came of it."""

    def share(model: str) -> float:
        worked, alone = (report.rounds[Cell(model, what)] for what in (DRAINED, ALONE))
        return paired(worked, alone, lambda sample: sample.per_second)

    def enqueued(what: str) -> float:
        return _median(report, Cell(SMALL, what), "per_second")

    def waited(what: str) -> float:
        return _median(report, Cell(SMALL, what), "p50_us") / 1000

    return [
        Target(f"{SMALL}, idle queue, from enqueueing to the event: p50 (ms)", waited(TOLD), 25, at_least=False),
        Target(f"{SMALL}, idle queue, from enqueueing to the poll: p50 (ms)", waited(POLLED), 25, at_least=False),
        Target(f"{LARGE}: jobs of the workers by images of the model server alone", share(LARGE), 0.85, at_least=True),
        Target(f"{SMALL}: jobs of the workers by images of the model server alone", share(SMALL), 0.5, at_least=True),
        Target(f"{BY_API}: jobs a second", enqueued(BY_API), 2500, at_least=True),
        Target(f"{BY_CALL}: jobs a second", enqueued(BY_CALL), 2500, at_least=True),
    ]


def markdown(report: Report) -> str:
    """The results as a page."""
    written = [
        *reports.head("asynchronous", "Jobs through a queue"),
        f"{caption(report)} Medians over the rounds; ratios are taken within each round.",
        "",
        *verdicts(targets(report)),
        "",
        "![Latency and throughput](asynchronous.png)",
        "",
        f"## One job, idle queue ({report.jobs} in each round)",
        "",
        *latency(report),
        "",
        "## Jobs a second",
        "",
        *throughput(report),
        "",
        "## Enqueueing, workers paused",
        "",
        *enqueueing(report),
        "",
        *_method(report),
        "",
    ]
    return "\n".join(written)


def latency(report: Report) -> list[str]:
    """A row for each model and way to wait."""
    lines = ["| model | way | p50 (ms) | p99 (ms) |", "|---|---|---|---|"]
    for model in MODELS:
        for what in LATENCY:
            p50, p99 = (_median(report, Cell(model, what), of) / 1000 for of in ("p50_us", "p99_us"))
            lines.append(f"| {model} | {what} | {p50:.2f} | {p99:.2f} |")
    return lines


def throughput(report: Report) -> list[str]:
    """A row for each model and way to keep it busy."""
    lines = ["| model | way | images a second | of alone | CPU (ms/image) |", "|---|---|---|---|---|"]
    for model in MODELS:
        alone = report.rounds[Cell(model, ALONE)]
        for what in THROUGHPUT:
            ratio = paired(report.rounds[Cell(model, what)], alone, lambda sample: sample.per_second)
            lines.append(f"| {model} | {what} {_speed(report, Cell(model, what), f'{ratio:.2f} | ')}")
    return lines


def enqueueing(report: Report) -> list[str]:
    """A row for each way."""
    rows = [f"| {what} {_speed(report, Cell(SMALL, what))}" for what in ENQUEUEING]
    return ["| way | jobs a second | CPU (ms/job) |", "|---|---|---|", *rows]


def _speed(report: Report, cell: Cell, between: str = "") -> str:
    samples = report.rounds[cell]
    parts = {name: statistics.median(sample.cpu_ms[name] for sample in samples) for name in samples[0].cpu_ms}
    shown = " + ".join(f"{name} {value:.2f}" for name, value in parts.items() if value >= 0.005)
    return f"| {_median(report, cell, 'per_second'):,.0f} | {between}{shown or '–'} |"


def _median(report: Report, cell: Cell, of: str) -> float:
    return median(report.rounds[cell], of)


def caption(report: Report) -> str:
    """What all figures have in common."""
    return reports.caption(report.machine, report.count, f" of {report.seconds} s for each figure")


def draw(report: Report) -> Figure:
    """Latency of one job and throughput, by model."""
    figure, panels = reports.panels(caption(report), size=(9, 4.2), columns=2)
    titles = (f"one job, idle queue (n = {report.jobs}): median (ms)", "images a second")
    for axes, ways, of, scale, title in zip(
        panels, (LATENCY, THROUGHPUT), ("p50_us", "per_second"), (1000, 1), titles, strict=True
    ):
        heights = {what: [_median(report, Cell(model, what), of) / scale for model in MODELS] for what in ways}
        reports.grouped_bars(axes, MODELS, heights, COLOURS)
        axes.set_ylim(bottom=0)
        axes.set_title(title, fontsize=10)
        axes.legend(frameon=False, fontsize=8)
    return figure


def _method(report: Report) -> list[str]:
    wrk = load.command("PORT", "/predict", "@FILE", report.seconds, connections=CLIENTS)
    said = reports.method(
        report.command,
        report.versions,
        f"Every job is the same photograph as a PNG file of 32 × 32 pixels ({report.size:,} bytes). Redis has "
        "each write on the disk before it answers, as by `make run`. Everything runs on the same cores, the load too.",
        "One job: an HTTP client enqueues it, and waits for the server-sent event, or asks every "
        f"{POLL_S * 1000:.0f} ms; then the next.",
        f"{ALONE}: {IN_FLIGHT} batches of {BATCH} images at a time over gRPC, as the workers ask. {DRAINED}: "
        f"{WORKERS} workers, the API paused. {WHOLE}: {CLIENTS} HTTP clients keep {DEPTH} jobs waiting meanwhile, so "
        "their time and the API's are taken from the same cores.",
        f"{BY_API}: {API_WORKERS} API processes, `{shlex.join(wrk)}`. {BY_CALL}: one process with {CLIENTS} calls at "
        "a time. Every request is answered, or the run fails.",
        "Rounds are interleaved: each figure once, then each again. Processes that are not in a figure are stopped "
        "by SIGSTOP meanwhile. The service must first say what the model says.",
        "CPU is processor time of the processes by the images or jobs; the load generator is not in it.",
    )
    return [
        *said,
        "",
        "## The processes, with every variable",
        "",
        *(reports.process(name, environment, command) for name, (command, environment) in PROCESSES.items()),
    ]
