"""What the demo watches: a service that answers each call on a thread, as blocking web servers do, and counts them."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsys.errors import DeadlineExceeded

from .call import Caller, Deadline, Unavailable
from .transport import Transport


class Held(NamedTuple):
    """How many threads wait for the model, `at_s` seconds after the beginning."""

    at_s: float
    threads: int


class Pool:
    """So many threads; a call takes one of them, asks the model and waits for `timeout_s` seconds, None: for ever."""

    def __init__(self, server: Transport, model: str, threads: int, timeout_s: float | None) -> None:
        self.timeout_s = timeout_s
        self.answered = self.gave_up = self.turned_away = 0
        self.longest_s = 0.0
        self.held: list[Held] = []
        self._server, self._model, self._size = server, model, threads
        self._caller = Caller()
        self._threads = ThreadPoolExecutor(threads)
        self._busy = 0
        self._lock = threading.Lock()
        self._calls: list[Future[None]] = []

    def offer(self, pixels: NDArray[np.uint8]) -> None:
        """One more call for pixels [n, 32, 32, 3]; it is turned away if every thread waits."""
        with self._lock:
            if self._busy == self._size:
                self.turned_away += 1
                return
            self._busy += 1
        self._calls.append(self._threads.submit(self._ask, pixels))

    def look(self, at_s: float) -> None:
        """Note how many threads wait."""
        self.held.append(Held(at_s, self._busy))

    def close(self) -> None:
        """Wait for the calls in progress. Raises: what a call raised, but for those that gave up."""
        self._threads.shutdown()
        for call in self._calls:
            call.result()

    def _ask(self, pixels: NDArray[np.uint8]) -> None:
        began, answered = time.monotonic(), False
        try:
            deadline = Deadline(self.timeout_s)
            self._caller.call(lambda left_s: self._server.infer(self._model, pixels, left_s), deadline)
            answered = True
        except (DeadlineExceeded, Unavailable):
            pass  # counted as one that gave up
        finally:
            with self._lock:
                self._busy -= 1
                self.answered += answered
                self.gave_up += not answered
                self.longest_s = max(self.longest_s, time.monotonic() - began)
