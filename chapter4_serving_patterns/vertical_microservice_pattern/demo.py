"""Three flowers, and a stage that hangs: `make demo`, or with URL=http://… against a running chain."""

import http.client
import json
import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from mlsys import address

FLOWERS = {"sure": [5.1, 3.5, 1.4, 0.2], "unsure": [5.9, 3.0, 5.0, 1.75], "in millimetres": [51.0, 35.0, 14.0, 2.0]}
HANGING = "prediction"
ROUNDS = 300


class Answer(NamedTuple):
    """Status and decoded body."""

    status: int
    json: dict[str, Any]

    @property
    def trace(self) -> list[dict[str, Any]]:
        """The steps of the stages that were asked, of a good answer and of a bad one."""
        steps: list[dict[str, Any]] = (self.json["error"]["details"] if "error" in self.json else self.json)["trace"]
        return steps


class Caller:
    """One kept-alive connection to the chain, which asks for the trace."""

    def __init__(self, netloc: str) -> None:
        self._connection = http.client.HTTPConnection(netloc, timeout=10)

    def predict(self, flower: list[float]) -> Answer:
        """What is answered to one flower."""
        headers = {"Content-Type": "application/json", "X-Trace": "true"}
        self._connection.request("POST", "/predict", json.dumps({"data": [flower]}), headers)
        response = self._connection.getresponse()
        return Answer(response.status, json.loads(response.read()))

    def stages(self) -> list[str]:
        """The chain's stages in their order."""
        self._connection.request("GET", "/metadata")
        response = self._connection.getresponse()
        return [stage["name"] for stage in json.loads(response.read())["stages"]]


def flowers(caller: Caller, stages: list[str], title: str) -> Table:
    """How far each flower gets, and the milliseconds of each stage that it meets."""
    table = Table("flower", "status", *(f"{name} (ms)" for name in stages), "end", title=title)
    for name, flower in FLOWERS.items():
        answer = caller.predict(flower)
        took = {step["stage"]: f"{step.get('ms', 0):.1f}{' failed' * ('error' in step)}" for step in answer.trace}
        table.add_row(name, str(answer.status), *(took.get(stage, "not asked") for stage in stages), _end(answer))
    return table


def _end(answer: Answer) -> str:
    if "error" in answer.json:
        return str(answer.json["error"]["message"])
    if stop := answer.json["stopped_by"]:
        return f"stopped by {stop['stage']}"
    decision = answer.json.get("decision") or {"action": "the chain's end", "rule": "-"}
    return f"{decision['action']} ({decision['rule']})"


def latency(caller: Caller) -> str:
    """Medians of ROUNDS requests of each kind, one after another, as the trace has them."""
    said = []
    for name in ("sure", "in millimetres"):
        traces = [caller.predict(FLOWERS[name]).trace for _ in range(ROUNDS)]
        total = statistics.median(sum(step["ms"] for step in trace) for trace in traces)
        said.append(f"{name}: p50 {total:.2f} ms in {len(traces[0])} of the stages")
    return f"{ROUNDS} flowers each, one after another: {'; '.join(said)}."


@contextmanager
def hanging(name: str) -> Iterator[bool]:
    """Stop the stage's process, if it is one of this machine that this demo was started with; whether it was."""
    module, port = f"{__package__}.{name}:create_app", os.environ.get(f"{name.upper()}_PORT")
    stopped = [process for process in psutil.process_iter() if port and _is(process, module, port)]
    for process in stopped:
        process.suspend()
    try:
        yield bool(stopped)
    finally:
        for process in stopped:
            process.resume()


def _is(process: psutil.Process, module: str, port: str) -> bool:
    try:
        return module in process.cmdline() and process.environ().get("PORT") == port
    except psutil.Error:  # it has ended, or is another user's
        return False


def main() -> None:
    """Print what the functions above found."""
    caller, console = Caller(address.netloc()), Console()
    try:
        stages = caller.stages()
        console.print(flowers(caller, stages, "Three flowers"), latency(caller), sep="\n")
        with hanging(HANGING) as hangs:
            none = "No stage was made to hang: `make demo` without URL does that."
            console.print(flowers(caller, stages, f"The same while {HANGING} hangs") if hangs else none)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"URL={os.environ['URL']} does not answer as a chain does: {error!r}.")


if __name__ == "__main__":
    main()
