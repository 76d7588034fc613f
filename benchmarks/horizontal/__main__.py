"""Measure the horizontal microservices: the proxy's cost, and the tail. Needs wrk and Linux; takes some 4 minutes."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from .. import command, machine
from ..load import require_wrk
from . import report
from .bench import MANY, Bench
from .processes import OURS, PROXIES, SERVICES, SLOW, TAIL

PACKAGES = ("aiohttp", "httpx", "uvicorn", "uvloop", "fastapi", "msgspec", "onnxruntime")


def main() -> None:
    """Everything, to the written results."""
    parser = command.parser("horizontal", __doc__)
    parser.add_argument("--seconds", type=command.count, default=2, help="seconds of each load in a round (2)")
    parser.add_argument("--requests", type=command.count, default=1000, help="requests for each tail in a round (1000)")
    options = parser.parse_args()
    wrk = require_wrk()
    command.leave_on_signals()
    with ExitStack() as stack:
        bench = Bench(stack, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        bench.start([*SERVICES, *SLOW])
        bench.start([*PROXIES, *TAIL])
        measured = [_round(bench, number, options.seconds, options.requests) for number in range(options.rounds + 1)]
    result = report.Report(
        machine=machine.describe(),
        versions=machine.versions(wrk, PACKAGES, []),
        command=command.line("horizontal"),
        seconds=options.seconds,
        requests=options.requests,
        many=MANY,
        rounds=measured[1:],  # the first one warms up
    )
    report.write(result, options.output)
    print(report.markdown(result), f"Written to {options.output}.", sep="\n")


def _round(bench: Bench, number: int, seconds: int, requests: int) -> report.Round:
    """Every figure once."""
    found = report.Round(
        services={one.name: bench.one_client(one, seconds) for one in SERVICES},
        proxies={one.name: bench.sample(one, seconds) for one in PROXIES},
        tails={one.name: bench.tail(one, requests) for one in TAIL},
    )
    print(f"round {number}: {found.proxies[OURS.name].per_second:8,.0f}/s", flush=True)
    return found


if __name__ == "__main__":
    main()
