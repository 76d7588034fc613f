"""The results as Markdown, as JSON and as a plot."""

import shlex
import statistics
from pathlib import Path

import msgspec
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter

from .. import load, reports
from ..verdicts import Target, median, verdicts
from .bench import BODY, CALLERS, Sample, Tail
from .processes import (
    ALL,
    BARE,
    DEADLINE,
    HEDGE,
    HTTPX,
    NO_SLOW,
    OURS,
    PROXIES,
    QUORUM,
    SERVICES,
    SLOW,
    SLOW_S,
    SLOW_SHARE,
    TAIL,
)

STYLES = {
    NO_SLOW.name: ("#999999", ":"),
    ALL.name: ("#d55e00", "-"),
    DEADLINE.name: ("#e69f00", "--"),
    QUORUM.name: ("#56b4e9", "-."),
    HEDGE.name: ("#0072b2", "-"),
}
"""Told apart also by people who see colours differently (Okabe and Ito, 2008), and in a grey print by the lines."""
COST_MS, PER_SECOND = 1.2, 1800.0


class Round(msgspec.Struct, frozen=True):
    """One round: median microseconds of one client of each service, both proxies, and each way to cut the tail."""

    services: dict[str, int]
    proxies: dict[str, Sample]
    tails: dict[str, Tail]

    def cost_ms(self, proxy: str) -> float:
        """What the proxy's median has more than the slowest service's."""
        return (self.proxies[proxy].p50_us - max(self.services.values())) / 1000


class Report(msgspec.Struct, frozen=True):
    """All of one measurement."""

    machine: dict[str, str]
    versions: dict[str, str]
    command: str
    seconds: int
    requests: int
    many: int
    rounds: list[Round]


def write(report: Report, folder: Path) -> None:
    """Write horizontal.md, horizontal.json and horizontal.png into the folder."""
    rounded = [
        msgspec.structs.replace(
            one, tails={name: Tail([round(ms, 3) for ms in tail.ms], tail.complete) for name, tail in one.tails.items()}
        )
        for one in report.rounds
    ]
    content = msgspec.structs.replace(report, rounds=rounded)
    reports.write(folder, "horizontal", content, markdown(report), {"horizontal": draw(report)}, indent=-1)


def markdown(report: Report) -> str:
    """The results as a page."""
    written = [
        *reports.head("horizontal", "Three services behind one proxy"),
        f"{caption(report)} Medians over the rounds; differences and ratios are taken within each round.",
        "",
        *verdicts(targets(report)),
        "",
        "## The proxy's own cost",
        "",
        *costs(report),
        "",
        "## One slow service",
        "",
        f"{SLOW_SHARE:.0%} of its answers take {SLOW_S * 1000:.0f} ms more.",
        "",
        *tails(report),
        "",
        "![The tail by policy](horizontal.png)",
        "",
    ]
    return "\n".join([*written, *_method(report), ""])


def targets(report: Report) -> list[Target]:
    """What was promised."""
    cost = statistics.median(one.cost_ms(OURS.name) for one in report.rounds)
    rate = statistics.median(one.proxies[OURS.name].per_second for one in report.rounds)
    return [
        Target("the proxy's p50 over that of its slowest service, one client (ms)", cost, COST_MS, False),
        Target(f"requests a second, {report.many} connections, all on this machine", rate, PER_SECOND, True),
    ]


def costs(report: Report) -> list[str]:
    """A row for each proxy."""
    lines = [
        f"| | p50 (ms), 1 client | over the slowest service | requests a second, {report.many} clients | p99 (ms) |",
        "|---|---|---|---|---|",
    ]
    slowest = statistics.median(max(one.services.values()) for one in report.rounds) / 1000
    lines.append(f"| the slowest service alone | {slowest:.2f} | | | |")
    for name in (proxy.name for proxy in PROXIES):
        samples = [one.proxies[name] for one in report.rounds]
        cost = statistics.median(one.cost_ms(name) for one in report.rounds)
        p50, rate, p99 = (median(samples, of) for of in ("p50_us", "per_second", "p99_us"))
        lines.append(f"| {name} | {p50 / 1000:.2f} | {cost:.2f} | {rate:,.0f} | {p99 / 1000:.1f} |")
    httpx, bare = (_throughput_by(report, peer.name) for peer in (HTTPX, BARE))
    return [*lines, "", f"Throughput: × {httpx:.2f} of that with httpx, × {bare:.2f} of that of bare aiohttp."]


def _throughput_by(report: Report, peer: str) -> float:
    return statistics.median(one.proxies[OURS.name].per_second / one.proxies[peer].per_second for one in report.rounds)


def tails(report: Report) -> list[str]:
    """A row for each way."""
    lines = ["| | p50 (ms) | p90 (ms) | p99 (ms) | with all three predictions |", "|---|---|---|---|---|"]
    for process in TAIL:
        found = [one.tails[process.name] for one in report.rounds]
        p50, p90, p99 = np.median([np.percentile(one.ms, (50, 90, 99)) for one in found], axis=0)
        complete = median(found, "complete")
        lines.append(f"| {process.name} | {p50:.1f} | {p90:.1f} | {p99:.1f} | {complete:.1%} |")
    return lines


def caption(report: Report) -> str:
    """What all figures have in common."""
    return reports.caption(report.machine, len(report.rounds))


def draw(report: Report) -> Figure:
    """The share of requests that take longer than so many milliseconds, by way."""
    figure, (axes,) = reports.panels(caption(report), size=(7.5, 4.5))
    for name, (colour, line) in STYLES.items():
        ms = np.sort(np.concatenate([one.tails[name].ms for one in report.rounds]))
        longer = 1 - np.arange(len(ms)) / len(ms)
        axes.plot(ms, longer, color=colour, linestyle=line, label=name, drawstyle="steps-post")
    count = report.requests * len(report.rounds)
    axes.set(xscale="log", yscale="log", xlabel="milliseconds", ylabel="share of requests that take longer")
    axes.xaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50, 100, 200, 500]))
    reports.plain_numbers(axes.xaxis)
    axes.yaxis.set_major_locator(FixedLocator([0.001, 0.01, 0.05, 0.1, 0.5, 1]))
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.1%}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    axes.set_title(f"One of three services slow in {SLOW_SHARE:.0%} of its answers; n = {count:,} each", fontsize=10)
    return figure


def _method(report: Report) -> list[str]:
    wrk = load.command("PORT", "/predict", BODY, report.seconds, connections=report.many)
    said = reports.method(
        report.command,
        report.versions,
        f"Load: `{shlex.join(wrk)}`, and the same with one connection. Every request is answered, or the run fails.",
        f"Tail: {report.requests:,} requests a round by {CALLERS} clients of one connection each, every one timed, "
        "also where no service answered within the deadline (504).",
        "Rounds are interleaved: each figure once, then each again; the first round is not counted. All processes "
        "run throughout, those that are not asked are idle, and all share the machine with the load.",
        "httpx stands in for this pattern's client alone: server, decoding, checks and services are the same.",
        "bare aiohttp does nothing but ask: no check of flower or answer, no policy, deadline, log or metric.",
    )
    return [
        *said,
        "",
        "## The processes, with every variable",
        "",
        *(reports.process(one.name, one.environment, one.command) for one in (*SERVICES, *SLOW, *PROXIES, *TAIL)),
    ]
