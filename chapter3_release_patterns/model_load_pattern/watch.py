"""Asks the source again and again, and lets the swap have what is new: a thread in every worker, beside its requests.

Workers swap one after another, because the directory's lock is held from the fetch to the end of a swap: one fetches,
the others find the file; and of all cores one at most is busy with warming a model up. No worker waits for another
with its answers, so for a moment two workers may answer by different models: every answer says by which.
"""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from mlsys.errors import ModelError, NotReady

from .fetch import Fetcher
from .report import Report
from .settings import Settings
from .source import Release, SourceDown
from .store import DirectoryFailed, Pointer
from .swap import Swap

_HURRY_S = 0.5
"""Seconds between two looks at most, while no model serves."""
_JOIN_S = 2.0


class Watch:
    """One thread, from the first call of `loaded` to the end of `until_the_end`."""

    def __init__(
        self,
        swap: Swap,
        fetcher: Fetcher,
        report: Report,
        settings: Settings,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._swap = swap
        self._fetcher = fetcher
        self._store = fetcher.store
        self._report = report
        self._settings = settings
        self._uniform = uniform
        self._current: tuple[str, str] | None = None
        """Name and tag of what serves and is also what a worker that comes back begins with."""
        self._begun = False
        self._fatal: ModelError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)  # a fetch must not delay the end

    async def loaded(self) -> None:
        """Begin to watch, the first time. Raises: NotReady before the first model; ModelError if that is refused, since
        there is none to go on with.
        """
        if not self._begun:
            self._begun = True
            self._thread.start()
        if self._fatal:
            raise self._fatal
        if self._swap.serving is None:
            raise NotReady(self._report.trouble or "the first one is being loaded")

    @asynccontextmanager
    async def until_the_end(self) -> AsyncIterator[None]:
        """Stop watching after the last request. A fetch that takes longer is left to the next process, to resume."""
        try:
            yield
        finally:
            self._stop.set()
            if self._begun:
                await asyncio.to_thread(self._thread.join, _JOIN_S)

    def begin(self) -> None:
        """Serve what the directory calls current, if there is such a model, and then look at the source."""
        try:
            pointer = self._store.pointer()
            if pointer and self._store.holds(pointer.sha256):  # not locked: another worker's fetch may take long
                self._begin_with(pointer)
        except DirectoryFailed as error:
            self._report.failed(str(error))
        self.look()

    def look(self) -> None:
        """One look at the source: serve what it offers, or refuse it, or find nothing new."""
        try:
            release = self._fetcher.source.release()
            if not self._settled(release):
                self._take(release)
            self._report.works()
            self._end_without_a_model()
        except (SourceDown, DirectoryFailed) as error:
            self._report.failed(str(error))

    def _take(self, release: Release) -> None:
        with self._store.locked(self._settings.load_timeout_s):
            try:
                sha256 = self._fetcher.fetch(release)
                serving = self._swap.serving
                if not serving or (serving.release, serving.sha256) != (release.name, sha256):
                    self._put(release.name, sha256)
            except ModelError as error:
                self._refuse(release.name, release.tag, error)
                return
            self._store.point_at(release.name, sha256)  # after it serves: a rollback must not fail for a full disk
            self._current = (release.name, release.tag)

    def _begin_with(self, pointer: Pointer) -> None:
        """What the loader left, which it does not test; if it is bad, the source may offer another one by now."""
        try:
            self._put(pointer.release, pointer.sha256)
            self._current = (pointer.release, pointer.sha256)
        except ModelError as error:
            self._refuse(pointer.release, pointer.sha256, error)

    def _end_without_a_model(self) -> None:
        refusal = self._swap.refusal
        if refusal and not self._swap.serving:
            self._fatal = ModelError(f"{refusal.release} of {self._fetcher.source.shown} is refused: {refusal.reason}.")

    def _put(self, release: str, sha256: str) -> None:
        path, old = self._store.path(sha256), self._swap.serving
        candidate = self._swap.inspect(release, path, sha256, threads=self._settings.model_threads)
        self._current = None
        self._swap.put(candidate)
        self._report.serves(candidate, old)

    def _refuse(self, name: str, tag: str, error: ModelError) -> None:
        self._swap.refuse(name, tag, str(error))
        self._report.refuses(name, str(error), self._swap.serving)

    def _settled(self, release: Release) -> bool:
        if self._current == (release.name, release.tag):
            self._swap.accept()
            self._report.settled()
            return True
        return self._swap.refuses(release.tag, self._settings.retry_refused_s)

    def _run(self) -> None:
        log = structlog.get_logger("model")
        work = self.begin
        while not self._stop.is_set() and not self._fatal:
            try:
                work()
            except Exception as error:  # a thread that ends would leave a service that looks well and never changes
                log.exception("unexpected error")
                self._report.failed(f"unexpected error ({type(error).__name__})")
            work = self.look
            pause = self._settings.poll_s if self._swap.serving else min(self._settings.poll_s, _HURRY_S)
            self._stop.wait(pause * self._uniform(0.8, 1.2))
