"""The results as Markdown and as JSON."""

from pathlib import Path

import msgspec

from .. import load, reports
from ..verdicts import median, verdicts
from . import plot, services
from .bench import CONNECTIONS, TOGETHER
from .figures import Stampede, Times, Traffic, break_even, targets

ITEM_ROWS = ("hit", "miss", "without")


class Report(msgspec.Struct, frozen=True):
    """All of one measurement; lists are rounds. traffic: by pictures (0: each once), then by variant."""

    machine: dict[str, str]
    versions: dict[str, str]
    command: str
    seconds: int
    requests: int
    count: int
    item: dict[str, list[Times]]
    traffic: dict[int, dict[str, list[Traffic]]]
    stampede: dict[str, list[Stampede]]
    hits: dict[str, list[load.Load]]


def write(report: Report, folder: Path) -> None:
    """Write prediction_cache.md, .json and .png into the folder."""
    said = f"{caption(report)} {report.requests:,} requests a mark and round."
    plots = {"prediction_cache": plot.draw(curves(report), even(report), said)}
    reports.write(folder, "prediction_cache", report, markdown(report), plots)


def curves(report: Report) -> dict[str, list[tuple[float, float, float]]]:
    """By variant: hit rate of that traffic with the cache, mean milliseconds, processor milliseconds."""
    found: dict[str, list[tuple[float, float, float]]] = {"cache": [], "without": []}
    for variants in report.traffic.values():
        rate = median(variants["cache"], "hit_rate")
        for name, points in found.items():
            points.append((rate, median(variants[name], "times.mean_ms"), median(variants[name], "cpu_ms")))
    return {name: sorted(points) for name, points in found.items()}


def even(report: Report) -> float:
    """The hit rate from which the mean time with the cache is shorter."""
    hit, miss, without = (median(report.item[name], "mean_ms") for name in ITEM_ROWS)
    return break_even(hit, miss, without)


def markdown(report: Report) -> str:
    """The results as a page."""
    hits = {name: median(rounds, "per_second") for name, rounds in report.hits.items()}
    p50 = {name: [one.p50_ms for one in rounds] for name, rounds in report.item.items()}
    lines = [
        *reports.head("prediction_cache", "Prediction cache: what it gives and what it costs"),
        f"{caption(report)} Medians over the rounds.",
        "",
        *verdicts(targets(p50["hit"], p50["miss"], hits)),
        "",
        *_item(report),
        *_traffic(report),
        *_stampede(report),
        *_hits(report),
        *_method(report),
    ]
    return "\n".join(lines) + "\n"


def _item(report: Report) -> list[str]:
    lines = ["## One item, one caller", "", "| | p50 (ms) | p99 (ms) | mean (ms) |", "|---|---|---|---|"]
    for name, rounds in report.item.items():
        shown = (median(rounds, of) for of in ("p50_ms", "p99_ms", "mean_ms"))
        lines.append(f"| {name} | {' | '.join(f'{value:.2f}' for value in shown)} |")
    rate = f"{even(report):.0%}" if even(report) <= 1 else "no"
    return [*lines, "", f"By the means, the cache is faster from a hit rate of {rate} on.", ""]


def _traffic(report: Report) -> list[str]:
    lines = [
        f"## Traffic: {report.requests:,} requests, one caller, the k-th picture as often as 1/k",
        "",
        "| pictures | hits | mean (ms), cache | without | p99 (ms), cache | without | CPU (ms each), cache | without |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for pictures, variants in report.traffic.items():
        cells = [f"{pictures:,}" if pictures else "each once", f"{median(variants['cache'], 'hit_rate'):.0%}"]
        ways = ("times.mean_ms", "times.p99_ms", "cpu_ms")
        cells += [f"{median(variants[name], of):.2f}" for of in ways for name in ("cache", "without")]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", "CPU is of service, model server and Redis together.", ""]


def _stampede(report: Report) -> list[str]:
    lines = [
        f"## {TOGETHER} identical requests at once, for what is not cached",
        "",
        "| | calls of the model | last answer after (ms) |",
        "|---|---|---|",
    ]
    for name, rounds in report.stampede.items():
        calls, last = median(rounds, "calls"), median(rounds, "last_ms")
        lines.append(f"| {name} | {calls:.0f} | {last:.0f} |")
    return [*lines, ""]


def _hits(report: Report) -> list[str]:
    lines = [
        f"## Hits a second, {CONNECTIONS} callers",
        "",
        "| | hits a second | p50 (ms) | p99 (ms) |",
        "|---|---|---|---|",
    ]
    for name, rounds in report.hits.items():
        per_second, p50, p99 = (median(rounds, of) for of in ("per_second", "p50_us", "p99_us"))
        lines.append(f"| {name} | {per_second:,.0f} | {p50 / 1000:.1f} | {p99 / 1000:.1f} |")
    return [*lines, ""]


def caption(report: Report) -> str:
    """What all figures have in common."""
    return reports.caption(report.machine, report.count)


def _method(report: Report) -> list[str]:
    said = reports.method(
        report.command,
        report.versions,
        "Rounds are interleaved: each figure once, then each again. While one variant is measured the others are "
        "stopped by SIGSTOP. Load generator, service, model server and Redis share the machine.",
        "miss: the item is invalidated before each request. without: the same service, whose Redis is not there.",
        f"Hits a second: wrk for {report.seconds} s. Every other figure: one connection of a Python client, whose "
        "own time is in it.",
    )
    return [
        *said,
        "",
        "## The processes, with every variable",
        "",
        reports.process("server", services.SERVER_ENVIRONMENT, services.SERVER),
        *(reports.process(f"{one.name} ({one.about})", one.environment, one.command) for one in services.VARIANTS),
    ]
