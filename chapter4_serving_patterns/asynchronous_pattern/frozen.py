"""Workers that hang, made of real ones: what the demo does to them."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from .traffic import Caller, Traffic

TRIES_S = 5.0
SOME = 8


class Frozen:
    """A worker of this machine that is stopped while it holds some jobs: it does not end, and does not answer.

    name: the worker's, "" if none was found. events: what happened, in seconds since the traffic's start.
    """

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._pid = 0
        self.name = ""
        self.events: list[tuple[float, str]] = []

    def freeze(self) -> None:
        """Stop a worker that has SOME jobs and, stopped, still has jobs; give up after TRIES_S seconds."""
        caller, end = Caller(self._traffic.netloc), time.monotonic() + TRIES_S
        while not self.name and time.monotonic() < end:
            for name, held in _held(caller).items():
                if held >= SOME and not self.name and (pid := _own(name)):
                    self._stop(caller, name, pid)

    def _stop(self, caller: Caller, name: str, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        self._pid = pid
        if _held(caller).get(name):
            self.name = name
            self.events.append((self._traffic.now(), "a worker hangs"))
        else:  # it was just done
            self._pid = 0
            os.kill(pid, signal.SIGCONT)

    def thaw(self) -> None:
        """Let it go on."""
        if self._pid:
            os.kill(self._pid, signal.SIGCONT)
            self.events.append((self._traffic.now(), "it goes on"))
            self._pid = 0


@contextmanager
def all_stopped(traffic: Traffic) -> Iterator[int]:
    """Stop all workers of this machine until the end of the block; how many these are."""
    pids = [pid for name in _held(Caller(traffic.netloc)) if (pid := _own(name))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield len(pids)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _held(caller: Caller) -> dict[str, int]:
    held: dict[str, int] = caller.ask("GET", "/queue").json["workers"]
    return held


def _own(name: str) -> int:
    """The process of a worker, <host>-<pid>-<random>, if it is one of this machine; else 0."""
    host, pid, _ = name.rsplit("-", 2)
    try:
        own = host == socket.gethostname() and f"{__package__}.worker" in psutil.Process(int(pid)).cmdline()
    except psutil.Error:
        return 0
    return int(pid) if own else 0
