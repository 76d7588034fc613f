"""Four answers of the running pattern, then what a caller sees when a service is late or away: `make demo`.

The second part needs services that fail when they are told: stand-ins that repeat what the real ones have answered,
behind a proxy of its own.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from mlsys import address
from mlsys.iris import LABELS
from mlsys.parent import die_with_parent
from mlsys.ports import free_port
from mlsys.ready import reason_not_ready

from .stand_in import FAULTS, WELL, StandIn, Way

FLOWERS = ([5.1, 3.5, 1.4, 0.2], [6.0, 2.9, 4.5, 1.5], [6.3, 3.3, 6.0, 2.5], [6.0, 2.7, 5.1, 1.6])
POLICIES = ("best_effort", "quorum=2", "all")
AWAY = "is away"
SITUATIONS: dict[str, Way] = {
    "is well": WELL,
    "takes 300 ms": Way(after_s=0.3),
    "hangs": FAULTS["hangs"],
    "answers NaN": FAULTS["answers NaN"],
    AWAY: WELL,
}
TIMEOUT_S = 0.5
START_S = 20.0
PROXY = "chapter4_serving_patterns.horizontal_microservice_pattern.app:create_app"


class Answer(NamedTuple):
    """One answer, and the milliseconds that it took."""

    status: int
    content: dict[str, Any]
    ms: float


def post(netloc: str, path: str, flower: list[float], policy: str = "") -> Answer:
    """One POST on a connection of its own. Raises: OSError."""
    connection = http.client.HTTPConnection(netloc, timeout=10)
    headers = {"Content-Type": "application/json"} | ({"Policy": policy} if policy else {})
    began = time.perf_counter()
    try:
        connection.request("POST", path, json.dumps({"data": [flower]}), headers)
        response = connection.getresponse()
        return Answer(response.status, json.loads(response.read()), (time.perf_counter() - began) * 1000)
    finally:
        connection.close()


def predictions(netloc: str) -> Table:
    """Some flowers, as each service sees them."""
    table = Table("flower (cm)", *LABELS, "label", title="Three services, one answer")
    for flower in FLOWERS:
        found = post(netloc, "/predict", flower, "all").content
        label = post(netloc, "/predict/label", flower, "all").content["prediction"]
        table.add_row(str(flower), *(f"{found[name]['prediction'][0]:.3f}" for name in LABELS), label["label"])
    return table


def failures(stand_ins: dict[str, StandIn], netloc: str) -> Table:
    """What each policy makes of each situation that virginica is in."""
    table = Table("virginica", "policy", "status", "ms", "the others", "of virginica", title="When one of them fails")
    for situation, way in SITUATIONS.items():
        stand_ins["virginica"].way = way
        if situation == AWAY:
            stand_ins["virginica"].down()
        for policy in POLICIES:
            answer = post(netloc, "/predict", FLOWERS[0], policy)
            *others, virginica = _shown(answer)
            row = (str(answer.status), f"{answer.ms:.0f}", " ".join(others).strip(), virginica)
            table.add_row(situation, policy, *row)
        table.add_section()
    return table


def _shown(answer: Answer) -> list[str]:
    if answer.status != http.client.OK:
        details = answer.content["error"]["details"]
        return [details[name]["code"] if name in details else "" for name in LABELS]
    found = [answer.content[name] for name in LABELS]
    return [one["error"]["code"] if "error" in one else f"{one['prediction'][0]:.3f}" for one in found]


@contextmanager
def another_proxy(stand_ins: dict[str, StandIn]) -> Iterator[str]:
    """A proxy in front of them; its host:port. Raises: RuntimeError if it does not start."""
    port, parent = str(free_port()), os.getpid()
    variables = {f"{name.upper()}_URL": one.url for name, one in stand_ins.items()}
    variables |= {"PORT": port, "WORKERS": "1", "BRANCH_TIMEOUT_S": str(TIMEOUT_S), "LOG_LEVEL": "error"}
    proxy = subprocess.Popen(
        [sys.executable, "-m", "mlsys.serve", PROXY],
        env=os.environ | variables | {"HOST": "127.0.0.1"},
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: die_with_parent(parent, signal.SIGKILL),
    )
    try:
        end = time.monotonic() + START_S
        while reason := reason_not_ready(f"http://127.0.0.1:{port}"):
            if proxy.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"The demo's own proxy did not start: {reason}.")
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        proxy.terminate()
        proxy.wait()


def main() -> None:
    """Print both tables."""
    url, netloc = address.url(), urlsplit(address.url()).netloc
    try:
        Console().print(predictions(netloc))
        said = post(netloc, "/predict", FLOWERS[0], "all").content
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"URL={url} does not answer: {error}.")
    except (KeyError, ValueError) as error:
        sys.exit(f"URL={url} answers without {error}: is it the horizontal microservice pattern, with all services?")
    with ExitStack() as stack:
        bodies = {name: json.dumps(said[name]).encode() for name in LABELS}
        stand_ins = {
            name: stack.enter_context(StandIn(name, lambda _, body=body: body))  # type: ignore[misc]
            for name, body in bodies.items()
        }
        Console().print(failures(stand_ins, stack.enter_context(another_proxy(stand_ins))))
    print(f"A service is given {TIMEOUT_S * 1000:.0f} ms here (BRANCH_TIMEOUT_S).")


if __name__ == "__main__":
    main()
