"""When a second request is worth it: its branch is later than usual, and not too many were sent lately."""

from collections import deque

_ENOUGH = 20  # times, before which nobody knows what is usual
_EVERY = 16  # requests, after which it is worth to sort again


class Hedge:
    """What is usual for one branch: the 95th percentile of its `kept` last times.

    share: second requests by all, at most. It bounds the load that they add where all is slow, when they help nobody.
    late_s: seconds after which a request is late; None while too little is known.
    """

    def __init__(self, share: float, kept: int = 256) -> None:
        self._times: deque[float] = deque(maxlen=kept)
        self._share = share
        self._most = 10.0
        self._budget = 1.0 if share else 0.0
        self.late_s: float | None = None
        self._until_sorted = _ENOUGH

    def earn(self) -> None:
        """Count a first request."""
        self._budget = min(self._most, self._budget + self._share)

    def take(self) -> bool:
        """Whether a second request may be sent, or one that nobody waits for be left to end; it is then counted."""
        if self._budget < 1:
            return False
        self._budget -= 1
        return True

    def record(self, seconds: float) -> None:
        """An attempt took so long, or was given up after so long, as late or overtaken."""
        self._times.append(seconds)
        self._until_sorted -= 1
        if self._until_sorted <= 0:
            self._until_sorted = _EVERY
            self.late_s = sorted(self._times)[int(len(self._times) * 0.95)]
