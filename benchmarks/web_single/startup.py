"""How long the web single pattern takes from exec until /ready answers 200."""

import http.client
import statistics
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from .process import Running
from .servers import SERVERS, Server

STARTS = 7


def measure(workers: int, values: dict[str, str], scratch: Path) -> float:
    """Median seconds of 7 starts with this many workers; /ready is asked every 5 ms."""
    ours = next(server for server in SERVERS if server.name == "ours")
    server = replace(ours, environment=ours.environment | {"WORKERS": str(workers)})
    return statistics.median(_start(server, values, scratch) for _ in range(STARTS))


def _start(server: Server, values: dict[str, str], scratch: Path) -> float:
    began = time.perf_counter()
    with Running(server, values, scratch) as running:
        running.until(lambda: _is_ready(running.port))
        return time.perf_counter() - began


def _is_ready(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=1)) as connection:
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):  # not listening yet
            return False
