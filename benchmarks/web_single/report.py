"""The results as Markdown, as JSON and as a plot."""

import shlex
from pathlib import Path

import msgspec

from .. import load, reports
from ..verdicts import Target, verdicts
from . import plot
from .figures import Rounds, Row, row
from .servers import PLAIN, SERVERS, Server


class Report(msgspec.Struct, frozen=True):
    """All of one measurement. `starts`: median seconds to ready by number of workers."""

    machine: dict[str, str]
    versions: dict[str, str]
    command: str
    seconds: int
    rounds: Rounds
    starts: dict[int, float]
    targets: list[Target]


def write(report: Report, folder: Path) -> None:
    """Write web_single.md, web_single.json and web_single.png into the folder."""
    rows = {name: row(samples, report.rounds["bare"]) for name, samples in report.rounds.items()}
    content = msgspec.to_builtins(report, str_keys=True) | {"summary": msgspec.to_builtins(rows)}
    plots = {"web_single": plot.draw(rows, _caption(report))}
    reports.write(folder, "web_single", content, markdown(report, rows), plots)


def markdown(report: Report, rows: dict[str, Row]) -> str:
    """The results as a page."""
    measured = [server for server in SERVERS if server.name in rows]
    return "\n".join(
        [
            *reports.head("web_single", "The web single pattern, measured"),
            f"{_caption(report)} Medians over the rounds; ratios are taken within each round.",
            "",
            "![Requests a second by server](web_single.png)",
            "",
            *_throughput(measured, rows),
            "",
            "## Targets",
            "",
            *verdicts(report.targets),
            "",
            *_method(report),
            "",
            "## The servers, with every flag",
            "",
            *(reports.process(each.name, each.environment, each.command, each.note) for each in measured),
            "",
        ]
    )


def _throughput(measured: list[Server], rows: dict[str, Row]) -> list[str]:
    lines = [
        "| server | requests/s | least – most | ratio to bare | p50 ms | p99 ms | p99/p50 | processes | RSS, all, MB |"
        " RSS, largest, MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for server in measured:
        found = rows[server.name]
        lines.append(
            f"| {server.title} (`{server.name}`) | {found.per_second:,.0f} | {found.least:,.0f} – {found.most:,.0f} "
            f"| {found.ratio:.3f} | {found.p50_ms:.2f} | {found.p99_ms:.2f} | {found.tail:.1f} | {found.processes:.0f} "
            f"| {found.rss_total_mb:.0f} | {found.rss_largest_mb:.0f} |"
        )
    return lines


def _method(report: Report) -> list[str]:
    command = shlex.join(load.command("PORT", PLAIN.path, PLAIN.body, report.seconds))
    return reports.method(
        report.command,
        report.versions,
        f"Load: `{command}` (MLServer: its own path and body); every request answered, or the run fails.",
        "Rounds are interleaved: each server once, then each again. Every server is started once, must give the same "
        "class for the same flower, and is warmed up for a second; while one is measured the others are stopped by "
        "SIGSTOP. A server's sample of memory is taken at the end of its load.",
        "The load generator shares the cores with the server. What it needs for a request is in every figure, so the "
        "distance between a fast server and a slower one is larger than the ratio shows.",
        "Our servers, the bare one included, run by `mlsys.serve`: uvicorn with loop uvloop, parser httptools, and "
        "its own access log off (`ACCESS_LOG` is ours).",
        "RSS in MB (10⁶ bytes), shared pages counted in each process.",
        "Start to ready: `python -m mlsys.serve` from exec until `/ready` answers 200, asked every 5 ms, median of 7 "
        "starts: "
        + ", ".join(f"{seconds:.2f} s with {workers} worker(s)" for workers, seconds in report.starts.items())
        + ".",
    )


def _caption(report: Report) -> str:
    load = f"wrk, 16 connections, {len(report.rounds['bare'])} rounds of {report.seconds} s"
    return f"{reports.where(report.machine)}; {load}; two workers each, where nothing else is said."
