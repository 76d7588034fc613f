"""The load: wrk, and what it says."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[1]


class Load(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured in one run. Times are microseconds; `refused` counts answers of 400 and above.

    `cpu_us` is the processor time that the load generator itself used, if it says: wrk does not.
    """

    requests: int
    duration_us: int
    p50_us: int
    p99_us: int
    refused: int
    socket_errors: int
    cpu_us: int = 0

    @property
    def per_second(self) -> float:
        """Requests answered in a second."""
        return self.requests / self.duration_us * 1e6


def require_wrk() -> str:
    """The version of wrk. Raises: SystemExit that says how to install it."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk, which makes the load, is not installed: install it with `apt-get install wrk`.")
    said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout  # it ends with 1
    return " ".join(said.split()[:2])


def command(
    port: str, path: str, body: str, seconds: int, *, connections: int = 16, headers: Sequence[str] = ()
) -> list[str]:
    """What makes the load, from the repository's root: two threads, as far as there are connections for them.

    `body` is sent as it is, or is `@` and the file that holds it. Each of `headers` is `Name: value`.
    """
    clients = [f"-t{min(2, connections)}", f"-c{connections}", "--timeout", "10s"]
    options = [*clients, f"-d{seconds}s", "--latency", "-s", "benchmarks/post.lua"]
    return ["wrk", *options, f"http://127.0.0.1:{port}{path}", "--", body, *headers]


def run(wrk: Sequence[str]) -> Load:
    """Load a server by the command. Raises: RuntimeError if any request failed."""
    return parse(subprocess.run(wrk, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def parse(said: str) -> Load:
    """Read the line that a load ends with. Raises: RuntimeError if any request failed, or none was answered."""
    load = msgspec.json.decode(said.splitlines()[-1], type=Load)
    if load.refused or load.socket_errors or not load.requests:
        raise RuntimeError(
            f"Of {load.requests} requests {load.refused} were refused and {load.socket_errors} failed on the socket; "
            "a figure is only taken where every request was answered."
        )
    return load
