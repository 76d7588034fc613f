"""The lesson: a call that blocks its caller, made safe for the caller and for the server.

While it waits, the caller's thread does nothing else. Three things keep that from spreading:

- One deadline for all that a caller asks for, whatever the number of calls and attempts. Each attempt is told how much
  of it is left, and passes that on, so that no server works for a caller who has gone.
- Retries only for what another attempt can mend (no connection, 503), and out of a budget (a token bucket): when
  everything fails, a server that is already in trouble gets a tenth more calls, not three times as many.
- Pauses of random length before retries (exponential backoff with full jitter), so that callers who failed together do
  not come back together.

Connections are kept by the transports, over_rest.py and over_grpc.py. An answer is computed from the question alone, so
that an attempt whose fate is unknown may be repeated; do not reuse this for calls that change something.

Sources: "Site Reliability Engineering" (Beyer and others, 2016), chapters 21 and 22; "Exponential Backoff And Jitter"
(Brooker, AWS Architecture Blog, 2015).
"""

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from mlsys.errors import DeadlineExceeded, MlsysError

Answer = TypeVar("Answer")


class Unavailable(MlsysError):
    """The server cannot be reached, or says that it cannot answer now: another attempt may succeed.

    retry_after_s: how long the server asks to be left alone, in seconds.
    """

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Deadline:
    """The moment at which the caller stops waiting, `seconds` from now; None: the caller waits for ever.

    A service that is itself waited for makes it of the seconds that its own caller has left it.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._at = None if seconds is None else clock() + seconds

    def left(self) -> float | None:
        """Seconds left, more than 0; None if there is no end. Raises: DeadlineExceeded."""
        if self._at is None:
            return None
        if (left := self._at - self._clock()) <= 0:
            raise self.exceeded()
        return left

    def allows(self, pause_s: float) -> bool:
        """Whether some time would be left after the pause."""
        return self._at is None or self._at - self._clock() > pause_s

    def exceeded(self) -> DeadlineExceeded:
        """The error that says so."""
        return DeadlineExceeded(f"There was no answer within {self._seconds:g} s.")


class RetryBudget:
    """How many retries all callers of one process may make together. Thread-safe.

    Every call puts `share` of a retry in, every retry takes a whole one out, and no more than `most` are ever kept: n
    calls are followed by at most `most + share * n` retries, even if all fail. It starts full: a process that makes a
    single call may repeat it.
    """

    def __init__(self, share: float = 0.1, most: float = 3.0) -> None:
        self._share, self._most = share, most
        self._left = most
        self._lock = threading.Lock()

    def put_in(self) -> None:
        """Count a call."""
        with self._lock:
            self._left = min(self._most, self._left + self._share)

    def take_out(self) -> bool:
        """Whether one more retry may be made; it is counted."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Caller:
    """Makes blocking calls. One of it serves all threads of a process, as its budget is for all of them.

    The pause before the nth retry is drawn evenly from [0, first_pause_s * 2 ** (n - 1)], but at most longest_pause_s.
    What the server asks for by Retry-After comes on top, so that those it sent away together come back apart.
    """

    def __init__(
        self,
        budget: RetryBudget | None = None,
        *,
        first_pause_s: float = 0.1,
        longest_pause_s: float = 2.0,
        pause: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._budget = budget or RetryBudget()
        self._first_s, self._longest_s = first_pause_s, longest_pause_s
        self._pause, self._draw = pause, draw

    def call(self, ask: Callable[[float | None], Answer], deadline: Deadline) -> Answer:
        """The answer of `ask`, which is given the seconds that are left (None: no end) and must not take longer.

        Raises: DeadlineExceeded; Unavailable, the last one, if the budget is spent or the pause would outlast the
        deadline; at once whatever else `ask` raises.
        """
        self._budget.put_in()
        longest_s = self._first_s
        while True:
            left = deadline.left()
            try:
                return ask(left)
            except Unavailable as refusal:
                pause_s = refusal.retry_after_s + self._draw() * longest_s
                if not deadline.allows(pause_s) or not self._budget.take_out():
                    raise
            self._pause(pause_s)
            longest_s = min(2 * longest_s, self._longest_s)
