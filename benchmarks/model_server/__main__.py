"""Measure the model server: batches, protocols, threads, and MLServer beside it.

Needs wrk, Linux and, for MLServer's first installation, a package index. Takes some 15 minutes after that.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .. import command, environments, machine
from ..load import ROOT, require_wrk
from ..process import Running
from ..verdicts import verdicts
from . import figures, networks, report
from .bench import Bench
from .plan import PARTS, Cell, Plan, plan
from .servers import SERVERS, Server
from .tables import Sizes

PACKAGES = ("onnxruntime", "numpy", "uvicorn", "uvloop", "httptools", "msgspec", "grpcio", "tritonclient")


def main() -> None:
    """Everything, from installing the peer to writing the results."""
    options = _arguments()
    wrk = require_wrk()
    command.leave_on_signals()
    if "peer" in options.only:
        environments.ensure("mlserver")
    chosen = plan([part for part in PARTS if part in options.only], quick=options.quick)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(networks.cases(options.models, Path(folder)), options.seconds, Path(folder))
        rounds, sizes = _measure(bench, chosen, options.rounds)
    result = report.Report(
        machine=machine.describe(),
        versions=machine.versions(wrk, PACKAGES, ["mlserver"]),
        command=command.line("model_server"),
        seconds=options.seconds,
        count=options.rounds,
        plan=chosen,
        rounds=rounds,
        sizes=sizes,
        targets=figures.targets(rounds, chosen),
    )
    report.write(result, options.output)
    print(*verdicts(result.targets), f"Written to {options.output}.", sep="\n")


def _measure(bench: Bench, plan: Plan, count: int) -> tuple[figures.Rounds, Sizes]:
    """Start all servers, then measure each cell in turn, round by round, while the other servers are paused."""
    cells = plan.cells()
    rounds: figures.Rounds = {cell: [] for cell in cells}
    with ExitStack() as stack:
        started: dict[str, Running] = {}
        stack.callback(_terminate, started)
        for server in _of(cells):
            started[server.name] = bench.start(stack, server, [cell for cell in cells if cell.server == server.name])
            print(f"{server.name} answers rightly", flush=True)
        sizes = {
            cell.form: bench.sizes(started[cell.server], cell)
            for cell in (plan.protocols() if "protocols" in plan.parts else [])
            if cell.clients == 1
        }
        for number in range(1, count + 1):
            for cell in cells:
                sample = bench.sample(started[cell.server], cell)
                rounds[cell].append(sample)
                print(f"round {number} {' '.join(map(str, cell)):60} {sample.per_second:10,.0f}/s", flush=True)
    return rounds, sizes


def _terminate(started: dict[str, Running]) -> None:
    """Ask all to stop at once; each is then waited for in turn."""
    for running in started.values():
        running.terminate()


def _of(cells: list[Cell]) -> list[Server]:
    return [SERVERS[name] for name in dict.fromkeys(cell.server for cell in cells)]


def _arguments() -> argparse.Namespace:
    parser = command.parser("model_server", __doc__, rounds=None)
    parser.add_argument("--seconds", type=command.count, help="seconds of load for each cell in each round (2)")
    parser.add_argument("--quick", action="store_true", help="one round of a second, and fewer servers: only to try it")
    parser.add_argument(
        "--only", nargs="+", default=PARTS, choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}"
    )
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="folder of the model folders")
    given = parser.parse_args()
    given.models = given.models.resolve()
    given.rounds = given.rounds or (1 if given.quick else 5)
    given.seconds = given.seconds or (1 if given.quick else 2)
    return given


if __name__ == "__main__":
    main()
