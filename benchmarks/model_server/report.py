"""The results as Markdown, as JSON and as plots."""

import shlex
from pathlib import Path

import msgspec

from .. import load, reports
from ..verdicts import Target, verdicts
from . import plot, tables
from .bench import TOLERANCE
from .figures import Rounds, row
from .plan import MANY, Plan
from .servers import SERVERS
from .tables import Sizes
from .wire import LENGTH


class Report(msgspec.Struct, frozen=True):
    """All of one measurement."""

    machine: dict[str, str]
    versions: dict[str, str]
    command: str
    seconds: int
    count: int
    plan: Plan
    rounds: Rounds
    sizes: Sizes
    targets: list[Target]


def write(report: Report, folder: Path) -> None:
    """Write model_server.md, model_server.json and the plots of what was measured into the folder."""
    cells = [
        cell._asdict() | {"median": msgspec.to_builtins(row(samples)), "rounds": msgspec.to_builtins(samples)}
        for cell, samples in report.rounds.items()
    ]
    names = ("machine", "versions", "command", "seconds", "targets", "sizes")
    content = {name: msgspec.to_builtins(getattr(report, name)) for name in names} | {"cells": cells}
    plots = {}
    if "batching" in report.plan.parts:
        plots["model_server"] = plot.batching(report.rounds, report.plan, caption(report))
    if "sweep" in report.plan.parts:
        plots["model_server_sweep"] = plot.sweep(report.rounds, report.plan, caption(report))
    reports.write(folder, "model_server", content, markdown(report), plots)


def markdown(report: Report) -> str:
    """The results as a page."""
    written = [
        *reports.head("model_server", "The model server, measured"),
        f"{caption(report)} Medians over the rounds; ratios are taken within each round.",
        "",
        "## Targets",
        "",
        *verdicts(report.targets),
        "",
    ]
    for part in report.plan.parts:
        written += [*getattr(tables, part)(report.rounds, report.plan, report.sizes), ""]
    return "\n".join([*written, *_method(report), ""])


def caption(report: Report) -> str:
    """What all figures have in common."""
    return reports.caption(report.machine, report.count, f" of {report.seconds} s for each figure")


def _method(report: Report) -> list[str]:
    headers = ["Content-Type: TYPE", f"{LENGTH}: LENGTH"]
    wrk = load.command("PORT", "/v2/models/NAME/infer", "@FILE", report.seconds, connections=MANY, headers=headers)
    ours = f"python -m benchmarks.model_server.grpc_load PORT FILE {MANY} {report.seconds}"
    said = reports.method(
        report.command,
        report.versions,
        f"Load: `{shlex.join(wrk)}`; for gRPC `{ours}`, a connection for each client. Every request is answered, or "
        "the run fails.",
        "Rounds are interleaved: each figure once, then each again. Every server is started once and warmed up; "
        "while one is measured the others are stopped by SIGSTOP.",
        "Every server must first answer 16 different inputs, asked for at the same time, as ONNX Runtime does "
        f"without a server (within {TOLERANCE:g}).",
        "CPU is processor time of all processes of the server, and of the load generator, by the requests answered.",
        "Bytes are counted by a relay between client and server: all that TCP carries, its own headers not.",
    )
    return [
        *said,
        "",
        "## The servers, with every variable",
        "",
        *(
            reports.process(server.name, server.environment, server.command, server.note)
            for server in (SERVERS[name] for name in dict.fromkeys(cell.server for cell in report.rounds))
        ),
    ]
