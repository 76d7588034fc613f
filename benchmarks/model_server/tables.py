"""One table for each question, as lines of Markdown."""

import statistics
from collections.abc import Iterable, Sequence

from . import figures, servers
from .figures import Rounds, Row, row
from .plan import BATCHED, MANY, PEER_FORMS, SWEPT, Cell, Plan
from .servers import DEFAULT, OFF
from .wire import TITLES, Form

Sizes = dict[Form, tuple[float, float]]
"""Bytes of a request and of its answer in TCP."""


def batching(rounds: Rounds, plan: Plan, _: Sizes) -> list[str]:
    """Throughput by bound, and as a multiple of that without batching."""

    def line(max_batch: int) -> Iterable[str]:
        server = servers.bound(max_batch)
        yield f"{max_batch}{' (off)' if server == OFF else ' (as shipped)' if server == DEFAULT else ''}"
        for model in BATCHED:
            yield f"{row(rounds[Cell(server, model, 'binary', MANY)]).per_second:,.0f}"
            yield f"{figures.gain(rounds, model, server):.2f}"

    return [
        "## When batching pays",
        "",
        f"{MANY} clients, REST with binary data, one row a request. cifar10_small is bound by computing: a batch saves "
        "no arithmetic, only what each call costs. The dense network (three layers of 2048) is bound by memory: its "
        "50 MB of weights are read once for a batch as for a row.",
        "",
        "![Throughput by bound, as a multiple of that without batching](model_server.png)",
        "",
        *_table(["bound on a batch, rows", *_pairs(BATCHED)], map(line, plan.bounds)),
    ]


def single(rounds: Rounds, _: Plan, __: Sizes) -> list[str]:
    """What batching costs a lone client."""

    def line(model: str) -> list[str]:
        off, on = (row(rounds[Cell(server, model, "binary", 1)]) for server in (OFF, DEFAULT))
        ratio = f"{figures.lone_cost(rounds, model):.3f}"
        return [model, f"{off.p50_ms:.3f}", f"{on.p50_ms:.3f}", ratio, f"{off.p99_ms:.2f}", f"{on.p99_ms:.2f}"]

    heads = ["network", "p50 off, ms", "p50 on (as shipped), ms", "on / off", "p99 off, ms", "p99 on, ms"]
    return [
        "## What batching costs a lone client",
        "",
        "One client, REST with binary data. A request that finds the model idle waits for nobody.",
        "",
        *_table(heads, map(line, BATCHED)),
    ]


def peer(rounds: Rounds, _: Plan, __: Sizes) -> list[str]:
    """Ours beside MLServer."""

    def line(cell: Cell) -> list[str]:
        found = row(rounds[cell])
        spread = f"{found.least:,.0f} – {found.most:,.0f}"
        name = "ours" if cell.server == DEFAULT else cell.server
        times = [f"{found.p50_ms:.1f}", f"{found.p99_ms:.1f}", f"{found.server_ms:.2f}"]
        return [name, f"{found.per_second:,.0f}", spread, *times]

    heads = ["server", "requests/s", "least – most", "p50 ms", "p99 ms", "server CPU ms/request"]
    lines = [
        "## Beside MLServer",
        "",
        f"cifar10_small, {MANY} clients, the same bytes to each; ours as shipped. MLServer's REST has no binary data.",
    ]
    for form in PEER_FORMS:
        ours, peers = Cell(DEFAULT, "cifar10_small", form, MANY), figures.peers(rounds, form)
        text = (
            f"{TITLES[form]}: **{figures.over_peer(rounds, form):.1f} ×** what MLServer answers at its best, which is "
        )
        lines += ["", f"{text}{figures.best_peer(rounds, form).server}.", "", *_table(heads, map(line, [ours, *peers]))]
    return lines


def protocols(rounds: Rounds, _: Plan, sizes: Sizes) -> list[str]:
    """The three forms."""

    def line(clients: int, form: Form) -> list[str]:
        found = row(rounds[Cell(DEFAULT, "cifar10_small", form, clients)])
        times = [f"{found.p50_ms:.2f}", f"{found.p99_ms:.2f}"]
        bytes_ = [f"{size:,.0f}" for size in sizes[form]]
        processors = [f"{found.server_ms:.3f}", f"{found.client_ms:.3f}"]
        return [TITLES[form], str(clients), f"{found.per_second:,.0f}", *times, *bytes_, *processors]

    measures = ["requests/s", "p50 ms", "p99 ms", "bytes sent", "bytes received"]
    heads = ["form", "clients", *measures, "server CPU ms/request", "client CPU ms/request"]
    return [
        "## What a form of the protocol costs",
        "",
        "cifar10_small, our server as shipped, one picture a request (3,072 bytes of pixels) and its 10 probabilities.",
        "",
        *_table(heads, (line(clients, form) for clients in (1, MANY) for form in TITLES)),
        "",
        "Clients and server share the cores. REST is asked by wrk, which is written in C; gRPC by a client in Python "
        "(grpc.aio), whose share is the last column: compare the forms by the server's CPU, not by requests a second.",
    ]


def sweep(rounds: Rounds, plan: Plan, _: Sizes) -> list[str]:
    """Workers and threads."""
    shares = figures.shares(rounds, plan)
    means = {pair: statistics.geometric_mean(share) for pair, share in shares.items()}
    best, shipped = figures.winner(shares), servers.shipped()

    def line(pair: tuple[int, int]) -> Iterable[str]:
        yield from map(str, pair)
        for model, clients in columns:
            found: Row = row(rounds[Cell(servers.threads(*pair), model, "binary", clients)])
            yield f"{found.per_second:,.0f} ({found.p50_ms:.2f})"
        yield from (f"{means[pair]:.2f}", f"{min(shares[pair]):.2f}")

    columns = [(model, clients) for model in SWEPT for clients in (1, MANY)]
    named = [f"{model}, {clients} client{'s' * (clients > 1)}" for model, clients in columns]
    return [
        "## Workers and threads",
        "",
        "WORKERS is the number of inferences that run at a time, MODEL_THREADS the threads of one. Requests/s (p50 in "
        "ms), REST with binary data; last, what that is of the best in each column: the geometric mean and the least.",
        "",
        "![Requests a second by workers and threads](model_server_sweep.png)",
        "",
        *_table(["WORKERS", "MODEL_THREADS", *named, "mean of the best", "least"], map(line, plan.pairs)),
        "",
        f"Best by the mean: WORKERS={best[0]}, MODEL_THREADS={best[1]} ({means[best]:.2f}). As shipped: "
        f"WORKERS={shipped.workers}, MODEL_THREADS={shipped.threads} ({means[shipped.workers, shipped.threads]:.2f}).",
    ]


def _pairs(models: Sequence[str]) -> list[str]:
    return [head for model in models for head in (f"{model}, requests/s", "× off")]


def _table(heads: Sequence[str], lines: Iterable[Iterable[str]]) -> list[str]:
    """The first column to the left, all others to the right."""
    return [
        f"| {' | '.join(heads)} |",
        "|---" + "|---:" * (len(heads) - 1) + "|",
        *(f"| {' | '.join(e)} |" for e in lines),
    ]
