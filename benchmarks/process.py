"""A server as a tree of processes: started, paused while others are measured, weighed and stopped."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import psutil

from mlsys.ports import free_port
from mlsys.ready import reason_not_ready

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
START_DEADLINE_S = 60.0
STOP_GRACE_S = 3.0


@dataclass(frozen=True)
class Memory:
    """Resident memory (RSS) of a server's processes, in bytes. Pages that processes share count in each."""

    processes: int
    total: int
    largest: int


class Running:
    """A started server; a context manager that leaves no process behind.

    Names in braces in `command` and `environment` are filled in from `values`, and with python, port, port2, port3 and
    scratch (a folder, which also gets the log).
    """

    def __init__(
        self, name: str, command: str, environment: Mapping[str, str], values: Mapping[str, str], scratch: Path
    ) -> None:
        self.name = name
        self.ports = [free_port() for _ in range(3)]
        self.port = self.ports[0]
        filled = dict(values) | dict(zip(("port", "port2", "port3"), map(str, self.ports), strict=True))
        filled |= {"python": sys.executable, "scratch": str(scratch)}
        inherited = {"TMPDIR": str(scratch)} | {
            name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ
        }
        self._log = scratch / f"{name}.log"
        self._seen: set[psutil.Process] = set()
        with self._log.open("wb") as log:
            self._root = psutil.Popen(
                [part.format(**filled) for part in shlex.split(command)],
                cwd=ROOT,
                env=inherited | {key: value.format(**filled) for key, value in environment.items()},
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

    def until(self, condition: Callable[[], T | None]) -> T:
        """Call `condition` every 5 ms until its result is true, and return that. Raises: RuntimeError, as above."""
        end = time.monotonic() + START_DEADLINE_S
        while not (result := condition()):
            if time.monotonic() > end or self._root.poll() is not None:
                said = self._log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.name} did not start; the end of what it said:\n{said}")
            time.sleep(0.005)
        return result

    def until_ready(self) -> None:
        """Wait until its /ready says so. Raises: RuntimeError as `until` does."""
        self.until(lambda: reason_not_ready(f"http://127.0.0.1:{self.port}") is None)

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

    def at_rest(self) -> bool:
        """Whether it uses less than a tenth of a core: the first worker answers while others still import."""
        before = self.cpu_seconds()
        time.sleep(0.3)
        return self.cpu_seconds() - before < 0.03

    def cpu_seconds(self) -> float:
        """Processor time that its processes have used so far, in steps of 10 ms."""
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
