"""Ask every installed package of the running pattern; then release one anew beside the old, and go back: `make demo`.

What is released here goes into throw-away folders and a process of its own, also with `make demo URL=http://…`.
"""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from mlsys import address, iris
from mlsys.catalogue import ROOT
from mlsys.parent import die_with_parent
from mlsys.ports import free
from mlsys.ready import reason_not_ready

from .claim import MODEL
from .install import install
from .releases import RELEASES, Release
from .wheel import build

T = TypeVar("T")
APP = "chapter3_release_patterns.model_in_package_pattern.app:create_app"
READY_S = 60
FLOWER = [6.3, 2.8, 5.1, 1.5]  # near a boundary, so that models differ
OLD, NEW = Release.parse(RELEASES[0]), Release("iris_svc", "1.2.0+iris.2026.11")


def ask(url: str, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  # whatever is answered
    """The decoded answer of one request."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())


def answers(servers: dict[str, str], title: str) -> Table:
    """What each installed model of each server (title to URL) says of FLOWER, by the Open Inference Protocol."""
    table = Table("", "model", "version", "sha256", str(FLOWER), title=title)
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 4], "data": FLOWER}
    body = {"inputs": [tensor], "outputs": [{"name": "probabilities"}]}
    for name, url in servers.items():
        for one in ask(url, "GET", "/models"):
            row = ask(url, "POST", f"/v2/models/{one['name']}/infer", body)["outputs"][0]["data"]
            said = f"{iris.LABELS[row.index(max(row))]} {max(row):.3f}"
            table.add_row(name, one["name"], one["version"], one["sha256"][:12], said)
    return table


@contextlib.contextmanager
def serving(site: Path) -> Iterator[str]:
    """A service of the packages in a folder, ready: its URL."""
    port = free({"PORT"})["PORT"]
    path = os.pathsep.join([str(ROOT), str(site)])
    environment = os.environ | {"PORT": str(port), "PYTHONPATH": path, "HOST": "127.0.0.1", "WORKERS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "mlsys.serve", APP],
        env=environment | {"LOG_LEVEL": "warning", "ACCESS_LOG": "false"},
        preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGKILL),
    )
    end = time.monotonic() + READY_S
    try:
        while reason := reason_not_ready(url := f"http://127.0.0.1:{port}"):
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"The second service was not ready within {READY_S} s: {reason}.")
            time.sleep(0.02)
        yield url
    finally:
        process.terminate()
        process.wait()


def release(url: str, folder: Path) -> list[Table]:
    """Build, install and serve the model of another training beside the one at `url`; then install the old again."""
    table, site = Table("step", "seconds", title="A release, and the way back"), folder / "site"

    def step(what: str, do: Callable[[], T]) -> T:
        began = time.perf_counter()
        done = do()
        table.add_row(what, f"{time.perf_counter() - began:.2f}")
        return done

    def serve_and_ask(beside: dict[str, str], title: str) -> Table:
        with contextlib.ExitStack() as stack:
            other = step("start, until ready", lambda: stack.enter_context(serving(site)))
            return answers(beside | {"B": other}, title)

    train = [sys.executable, "-m", "mlsys.train", "iris_svc", "--test_size", "0.2", "--output", str(folder)]
    step("train again", lambda: subprocess.run(train, cwd=ROOT, check=True, stdout=subprocess.DEVNULL))
    new = step("build the wheel", lambda: build(NEW, folder / "iris_svc" / MODEL, folder))
    step("install it", lambda: install([new], site))
    both = serve_and_ask({"A": url}, "Two versions: two environments, two processes")
    old = build(OLD, ROOT / "models" / "iris_svc" / MODEL, folder)
    step("downgrade: install the old wheel", lambda: install([old], site))
    return [both, serve_and_ask({}, "B after the downgrade"), table]


def main() -> None:
    """Print what the functions above found."""
    url = address.url()
    try:
        console = Console()
        console.print(answers({"": url}, "Installed and served"))
        with tempfile.TemporaryDirectory() as folder:
            console.print(*release(url, Path(folder)), sep="\n")
    except OSError as error:
        sys.exit(f"URL={url} does not answer: {error}.")


if __name__ == "__main__":
    main()
