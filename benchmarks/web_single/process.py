"""A server as a tree of processes: started, asked, paused while others are measured, weighed and stopped."""

import http.client
import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import psutil

from .servers import Server

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
START_DEADLINE_S = 60.0
STOP_GRACE_S = 3.0


@dataclass(frozen=True)
class Memory:
    """Resident memory (RSS) of a server's processes, in bytes. Pages that processes share count in each."""

    processes: int
    total: int
    largest: int


class Running:
    """A started server; a context manager that leaves no process behind. `values` fill in the server's braces."""

    def __init__(self, server: Server, values: dict[str, str], scratch: Path) -> None:
        self.server = server
        ports = free_ports(3)
        self.port = ports[0]
        values = values | dict(zip(("port", "port2", "port3"), map(str, ports), strict=True))
        values |= {"python": sys.executable, "scratch": str(scratch)}
        command = [part.format(**values) for part in shlex.split(server.command)]
        environment = {name: value.format(**values) for name, value in server.environment.items()}
        inherited = {"TMPDIR": str(scratch)} | {
            name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ
        }
        self._log = scratch / f"{server.name}.log"
        self._seen: set[psutil.Process] = set()
        with self._log.open("wb") as log:
            self._root = psutil.Popen(
                command,
                cwd=ROOT,
                env=inherited | environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is ours to pass on, also to those that are paused
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop every process that was ever seen in the tree: politely, then not."""
        self.terminate()
        psutil.wait_procs(self._seen, timeout=STOP_GRACE_S)
        for process in self._seen:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(self._seen, timeout=STOP_GRACE_S)

    def terminate(self) -> None:
        """Ask the server to stop, without waiting for it."""
        self._tree()
        with suppress(psutil.NoSuchProcess):
            self._root.terminate()
        for process in self._seen:  # those that are paused hear nothing before they go on
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def ask(self) -> list[float]:
        """The probabilities [3] that the server answers.

        Raises: OSError, HTTPException, or ValueError with the answer if it is no success.
        """
        protocol = self.server.protocol
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", protocol.path, protocol.body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise ValueError(f"status {answer.status}: {content.decode(errors='replace')[:200]}")
        return protocol.probabilities(json.loads(content))

    def wait_until_started(self) -> list[float]:
        """Wait until it answers and all its workers have come to rest; return the probabilities that it answers.

        Raises: RuntimeError with the end of its log.
        """
        answer = self.until(self._answer)
        self.until(self._at_rest)
        return answer

    def until(self, condition: Callable[[], T | None]) -> T:
        """Call `condition` every 5 ms until its result is true, and return that. Raises: RuntimeError, as above."""
        end = time.monotonic() + START_DEADLINE_S
        while not (result := condition()):
            if time.monotonic() > end or self._root.poll() is not None:
                said = self._log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.server.name} did not start; the end of what it said:\n{said}")
            time.sleep(0.005)
        return result

    def pause(self) -> None:
        """Stop the clock of every process: parents first, so that none asks a stopped child whether it is alive."""
        for process in self._tree():
            process.suspend()

    def resume(self) -> None:
        """Let every process go on: children first, and time for them to answer what was asked before the pause."""
        *children, root = reversed(self._tree())
        for process in children:
            process.resume()
        time.sleep(0.05)
        root.resume()

    def memory(self) -> Memory:
        """What its processes hold now."""
        held = [process.memory_info().rss for process in self._tree()]
        return Memory(len(held), sum(held), max(held))

    def _answer(self) -> list[float] | None:
        with suppress(OSError, ValueError, http.client.HTTPException):  # not listening yet, or no model yet
            return self.ask()
        return None

    def _at_rest(self) -> bool:
        """Whether it uses less than a tenth of a core: the first worker answers while others still import."""
        before = self._cpu_seconds()
        time.sleep(0.3)
        return self._cpu_seconds() - before < 0.03

    def _cpu_seconds(self) -> float:
        seconds = 0.0
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):  # one that only helped to start
                times = process.cpu_times()
                seconds += times.user + times.system
        return seconds

    def _tree(self) -> list[psutil.Process]:
        """The process that was started, and all under it that live."""
        with suppress(psutil.NoSuchProcess):
            tree = [self._root, *self._root.children(recursive=True)]
            self._seen.update(tree)
            return tree
        return []


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
