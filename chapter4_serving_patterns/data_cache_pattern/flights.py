"""Work that goes on whoever waits for it: at most one of a name at a time, and none that fails unheard."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from mlsys.errors import ServiceError
from mlsys.redis import end

S = TypeVar("S")
T = TypeVar("T")


class Flights(Generic[T]):
    """Tasks in the background of this process's event loop. failed: is called when one ends by a ServiceError."""

    def __init__(self, failed: Callable[[], object]) -> None:
        self._failed = failed
        self._named: dict[str, asyncio.Task[T]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def join(self, name: str, work: Callable[[str], Coroutine[Any, Any, T]]) -> "asyncio.Task[T]":
        """The work of this name that is in progress, or begins now."""
        if name not in self._named:
            self._named[name] = task = self.start(work(name))
            task.add_done_callback(lambda _: self._named.pop(name))
        return self._named[name]

    async def result(self, name: str, work: Callable[[str], Coroutine[Any, Any, T]], *, anew: bool = False) -> T:
        """What that work gives, however many wait for it. anew: of work that begins after this was asked for."""
        if anew and (task := self._named.get(name)):
            await asyncio.wait([task])  # it may have read what has changed since
        return await asyncio.shield(self.join(name, work))

    def start(self, work: Coroutine[Any, Any, S]) -> "asyncio.Task[S]":
        """Begin what nobody waits for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the loop alone would let it be collected
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Give up what is in progress."""
        while self._tasks:  # one that ends may have begun another
            await end(self._tasks)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ServiceError):
            self._failed()
        elif error:
            said = {"message": "background work failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(said)
