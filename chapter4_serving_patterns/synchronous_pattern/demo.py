"""See how many threads a slow model holds, with a deadline and without: `make demo`, or `make demo URL=http://…`.

Two services of 40 threads get 20 calls a second each and ask the model for all. After 2 s it gets slow, for 6 s.
`--save` also draws img/held_threads.png.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import numpy as np
from rich.console import Console
from rich.table import Table

from mlsys import address
from mlsys.errors import MlsysError
from mlsys.picture import to_pixels
from mlsys.pictures import content

from .over_rest import Rest
from .pool import Pool

MODEL = "cifar10_large"
RATE, THREADS, DEADLINE_S, DELAY_S = 20, 40, 0.5, 3.0  # FastAPI, too, runs blocking code on 40 threads
SLOW, END_S = (2.0, 8.0), 12.0
CALLS = int(RATE * END_S)
SHOWN_S = (1, 2.5, 3, 4, 6, 8, 11.5)
PICTURE = Path(__file__).parent / "img" / "held_threads.png"


@contextmanager
def slow_proxy(host: str, port: int) -> Iterator[tuple[int, IO[str]]]:
    """proxy.py in a process of its own: its port, and where it takes the seconds of delay."""
    command = [sys.executable, "-m", f"{__package__}.proxy", host, str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout  # noqa: S101  # for mypy
    with process, process.stdin as delay:
        yield int(process.stdout.readline()), delay


def drive(pools: list[Pool], delay: IO[str], pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    """Offer calls to every pool at the rate, make the model slow and fast again, and watch."""
    changes, began = [(SLOW[0], DELAY_S), (SLOW[1], 0.0)], time.monotonic()
    for call in range(CALLS):
        at_s = call / RATE
        time.sleep(max(0.0, began + at_s - time.monotonic()))
        if changes and at_s >= changes[0][0]:
            print(changes.pop(0)[1], file=delay, flush=True)
        for pool in pools:
            pool.look(at_s)
            pool.offer(pixels)
    for pool in pools:
        pool.close()


def tables(pools: list[Pool]) -> Iterator[Table]:
    """Threads that wait over time, and what became of the calls."""
    held = Table("threads that wait", *(f"{at:g} s" for at in SHOWN_S), title=f"Slow from {SLOW[0]:g} to {SLOW[1]:g} s")
    fate = Table("calls", "answered", "gave up", "turned away", "longest wait", title="What became of the calls")
    for pool in pools:
        seen = dict(pool.held)
        held.add_row(name(pool), *(str(seen[min(seen, key=lambda known: abs(known - at))]) for at in SHOWN_S))
        counts = (pool.answered, pool.gave_up, pool.turned_away)
        fate.add_row(name(pool), *map(str, counts), f"{pool.longest_s:.2f} s")
    yield from (held, fate)


def name(pool: Pool) -> str:
    """How the pool waits."""
    return "without a deadline" if pool.timeout_s is None else f"deadline of {pool.timeout_s:g} s"


def draw(pools: list[Pool]) -> None:
    """Draw PICTURE. matplotlib is no part of a serving environment, so it is imported here."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.axvspan(*SLOW, color="0.92", label=f"the model takes {DELAY_S:g} s")
    axes.axhline(THREADS, color="black", linewidth=0.8, linestyle=":", label=f"all {THREADS} threads of the service")
    for pool, colour, style in zip(pools, ("#d55e00", "#0072b2"), ("-", "--"), strict=True):
        axes.plot(
            *zip(*pool.held, strict=True), color=colour, linestyle=style, drawstyle="steps-post", label=name(pool)
        )
    axes.set(
        xlabel="time (s)",
        ylabel="threads that wait for the model",
        title=f"{RATE} calls a second for {END_S:g} s: n={CALLS} each",
    )
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=150)


def main() -> None:
    """Drive the server at URL through the proxy, print the tables, and with --save draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help=f"draw {PICTURE.name}")
    save = parser.parse_args().save
    parts = urlsplit(address.url())
    host, port = str(parts.hostname), parts.port or 80
    pixels = to_pixels(content("cat"))[np.newaxis]
    try:
        Rest(host, port).infer(MODEL, pixels, 5.0)
        with slow_proxy(host, port) as (port, delay):
            pools = [Pool(Rest("127.0.0.1", port, THREADS), MODEL, THREADS, limit) for limit in (None, DEADLINE_S)]
            drive(pools, delay, pixels)
    except MlsysError as error:
        sys.exit(str(error))
    Console().print(*tables(pools), sep="\n")
    if save:
        draw(pools)


if __name__ == "__main__":
    main()
