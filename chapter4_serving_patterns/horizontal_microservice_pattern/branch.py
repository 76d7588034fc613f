"""One of the services that are asked: its replicas, and the attempts to get one answer from them within one request."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import structlog

from mlsys.errors import ErrorCode, InternalError, ServiceError

from .hedge import Hedge

Q = TypeVar("Q")
A = TypeVar("A")


class Missing(NamedTuple):
    """Why there is no answer: a code of ErrorCode, or composition.NOT_WAITED_FOR, and a sentence."""

    code: str
    message: str


class Branch(Generic[Q, A]):
    """One service. replicas: each asks one of its replicas (question, seconds), and raises a ServiceError.

    The replica that answered last is asked first, the others when it fails, and when it is later than `hedge` expects.
    """

    def __init__(self, replicas: Sequence[Callable[[Q, float], Coroutine[Any, Any, A]]], hedge: Hedge) -> None:
        self.replicas = replicas
        self.hedge = hedge
        self.first = 0


class Call(Generic[Q, A]):
    """One branch within one request. attempts: those in progress, by the replica's place and when it began."""

    def __init__(self, branch: Branch[Q, A], question: Q, end: float) -> None:
        self._branch, self._question, self._end = branch, question, end
        self._untried = sorted(range(len(branch.replicas)), key=lambda place: place != branch.first)
        self._attempts: dict[asyncio.Task[A], tuple[int, float]] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    def begin(self, tell: Callable[[A | Missing], None]) -> None:
        """Ask; `tell` is called once with the outcome, unless it is cancelled before."""
        self._tell, self._usual_s = tell, self._branch.hedge.late_s
        self._branch.hedge.earn()
        self._late = self._end if self._usual_s is None else self._loop.time() + self._usual_s
        self._try_next()
        if self._untried and self._usual_s is not None:
            self._timer = self._loop.call_at(self._late, self._hedge)

    def let_go(self) -> None:
        """Nobody waits any more. What is not late yet may end: to stop it would cost its connection."""
        self._over = True
        known = self._usual_s is not None or self._branch.hedge.take()  # some must end before it is known what is late
        stop = min(self._late, self._end) if known else self._loop.time()
        if self._timer:
            self._timer.cancel()
        if stop > self._loop.time():
            self._timer = self._loop.call_at(stop, self._give_up)
        else:
            self._give_up()

    def cancel(self) -> None:
        """Stop at once."""
        self._over = True
        if self._timer:
            self._timer.cancel()
        for task in self._attempts:
            task.cancel()

    def _try_next(self) -> None:
        if self._untried:
            place, began = self._untried.pop(0), self._loop.time()
            task = asyncio.create_task(self._branch.replicas[place](self._question, self._end - began))
            self._attempts[task] = place, began
            task.add_done_callback(self._ended)

    def _hedge(self) -> None:
        if self._untried and self._branch.hedge.take():
            self._try_next()

    def _ended(self, task: asyncio.Task[A]) -> None:
        place, began = self._attempts.pop(task)
        error = None if task.cancelled() else task.exception()  # asked for in any case, or it would be logged as lost
        if not (task.cancelled() or error):
            self._branch.hedge.record(self._loop.time() - began)
        if self._over:  # also if two end at the same moment: the second tells nothing
            if not self._attempts:
                self.cancel()
        elif error:
            self._try_next()
            if not self._attempts:
                self.cancel()
                self._tell(_reason(error))
        elif not task.cancelled():
            self._win(place, task.result())

    def _win(self, place: int, answer: A) -> None:
        for _, began in self._attempts.values():  # the losers' times: without them the slow would be forgotten
            self._branch.hedge.record(self._loop.time() - began)
        self._branch.first = place
        self.cancel()
        self._tell(answer)

    def _give_up(self) -> None:
        if self._usual_s is not None and self._loop.time() < self._end:
            self._branch.hedge.record(self._usual_s)  # or what is usual would become ever less
        self.cancel()


def _reason(error: BaseException) -> Missing:
    if isinstance(error, ServiceError):
        return Missing(error.code, error.message)
    structlog.get_logger("composition").error("unexpected error", exc_info=error)  # ours, but still one branch's
    return Missing(ErrorCode.INTERNAL, InternalError().message)
