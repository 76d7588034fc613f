"""The kind of service that has no model of its own: it watches for one, and its answers name the one they are from."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mlsys.app import Service
from mlsys.edge import Message, Receive, Scope, Send
from mlsys.model import Model

from . import __doc__ as intent  # the pattern's one sentence
from . import loader
from .fetch import Fetcher
from .report import Report
from .settings import Settings
from .store import Store
from .swap import Bounds, Swap
from .watch import Watch

_answered_by: ContextVar[str] = ContextVar("answered_by")


class LoadedService(Service):
    """A service whose predictions say in `X-Model-SHA256` which model made them, and which watches for a new one."""

    def __init__(self, settings: Settings) -> None:
        """Raises: SettingsError."""
        super().__init__(title="model_load_pattern", description=intent or "", settings=settings)
        self.swap = Swap(Bounds(settings.smoke_latency_ms / 1000, settings.smoke_agreement))
        self.report = Report(self.metrics.registry)
        self.source = loader.source(settings)
        fetcher = Fetcher(self.source, Store(settings.model_directory), settings)
        self.watch = Watch(self.swap, fetcher, self.report, settings)
        self.start_when("The model", self.watch.loaded, within_s=settings.model_wait_s)
        self.while_serving(self.watch.until_the_end)
        self.ready_when("model", self._is_served)

    @contextmanager
    def model(self) -> Iterator[Model]:
        """The model that serves now, for the request of the current task."""
        with self.swap.use() as served:
            _answered_by.set(served.sha256)
            yield served.model

    async def _is_served(self) -> str | None:
        await self.watch.loaded()
        refusal = self.swap.refusal
        return f"ok; {refusal.release} is refused: {refusal.reason}" if refusal else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start" and (sha256 := _answered_by.get()):
                message["headers"] = [*message["headers"], (b"x-model-sha256", sha256.encode())]
            await send(message)

        _answered_by.set("")
        await super().__call__(scope, receive, named)
