"""Measure the web single pattern beside a bare app, its own parts and other model servers.

Needs wrk, Linux and, for the peers' first installation, a package index. Takes some eight minutes after that.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np

from chapter4_serving_patterns.web_single_pattern.predictor import IrisPredictor
from mlsys import iris
from mlsys.errors import ModelError
from mlsys.model import Model

from .. import command, environments, load, machine
from ..load import ROOT
from ..verdicts import verdicts
from . import figures, report, startup
from .figures import Sample
from .process import Running
from .servers import SERVERS, Server

PACKAGES = ("uvicorn", "uvloop", "httptools", "fastapi", "pydantic", "msgspec", "onnxruntime", "numpy")
PEERS = ("litserve", "mlserver", "bentoml")


def main() -> None:
    """Everything, from installing the peers to writing the results."""
    options = _arguments()
    wrk = load.require_wrk()
    command.leave_on_signals()
    servers = [server for server in SERVERS if server.name in {"bare", *options.only}]
    expected = _expected(options.model)
    for peer in dict.fromkeys(server.peer for server in servers if server.peer):
        environments.ensure(peer)
    answer = msgspec.json.encode({"prediction": expected}).decode()
    values = {"model": str(options.model.resolve()), "answer": answer}
    with tempfile.TemporaryDirectory() as scratch:
        rounds = _measure(servers, values, expected, options, Path(scratch))
        starts = {workers: startup.measure(workers, values, Path(scratch)) for workers in (1, 2)}
    result = report.Report(
        machine=machine.describe(),
        versions=machine.versions(wrk, PACKAGES, PEERS),
        command=command.line("web_single"),
        seconds=options.seconds,
        rounds=rounds,
        starts=starts,
        targets=figures.targets(rounds, starts),
    )
    report.write(result, options.output)
    print(*verdicts(result.targets), f"Written to {options.output}.", sep="\n")


def _measure(
    servers: list[Server], values: dict[str, str], expected: list[float], options: argparse.Namespace, scratch: Path
) -> figures.Rounds:
    """Start all, then measure each in turn, round by round, while the others are paused."""
    rounds: figures.Rounds = {server.name: [] for server in servers}
    with ExitStack() as stack:
        started = [_start(stack, server, values, expected, scratch) for server in servers]
        stack.callback(_terminate, started)
        for number in range(1, options.rounds + 1):
            for running in started:
                sample = _sample(running, options.seconds)
                rounds[running.server.name].append(sample)
                print(f"round {number} {running.server.name:20} {sample.per_second:10,.0f}/s", flush=True)
    return rounds


def _start(stack: ExitStack, server: Server, values: dict[str, str], expected: list[float], scratch: Path) -> Running:
    """Start a server, prove that it predicts what the model does, warm it up and leave it paused."""
    running = stack.enter_context(Running(server, values, scratch))
    found = running.wait_until_started()
    if not np.allclose(found, expected, atol=1e-5):
        raise RuntimeError(f"{server.name} answers {found} where the model says {expected}.")
    print(f"{server.name} answers {iris.LABELS[int(np.argmax(found))]}", flush=True)
    load.run(load.command(str(running.port), server.protocol.path, server.protocol.body, seconds=1))
    running.pause()
    return running


def _terminate(servers: list[Running]) -> None:
    """Ask all to stop at once; each is then waited for in turn."""
    for running in servers:
        running.terminate()


def _sample(running: Running, seconds: int) -> Sample:
    protocol = running.server.protocol
    running.resume()
    running.ask()
    found = load.run(load.command(str(running.port), protocol.path, protocol.body, seconds))
    memory = running.memory()
    running.pause()
    return Sample(found.per_second, found.p50_us, found.p99_us, memory.processes, memory.total, memory.largest)


def _expected(path: Path) -> list[float]:
    try:
        return IrisPredictor(Model.load(path)).probabilities(iris.SAMPLE[0])
    except ModelError as error:
        raise SystemExit(str(error)) from error


def _arguments() -> argparse.Namespace:
    names = [server.name for server in SERVERS]
    parser = command.parser("web_single", __doc__)
    parser.add_argument(
        "--seconds", type=command.count, default=6, help="seconds of load for each server in each round (6)"
    )
    parser.add_argument(
        "--only", nargs="+", default=names, choices=names, metavar="NAME", help=f"of {', '.join(names)}; bare always"
    )
    parser.add_argument("--model", type=Path, default=ROOT / "models/iris_svc/model.onnx", help="model file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
