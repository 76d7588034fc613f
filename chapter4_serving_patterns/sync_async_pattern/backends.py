"""What the service stands on, how it is, and what the service says of itself."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from mlsys.app import Service
from mlsys.cifar10 import LABELS
from mlsys.errors import MlsysError
from mlsys.openapi import example
from mlsys.remote import RemoteModel

from . import describe
from .both import FAST, SLOW
from .client import QueueClient
from .fast import ASK_S, FastModel

_RETRY_S = 0.1


def add_description(service: Service, fast: FastModel, slow: RemoteModel, queue: QueueClient, threshold: float) -> None:
    """The routes that say what the service takes, gives and stands on."""

    async def ask_fast() -> None:
        await fast.declared()

    async def ask_slow() -> None:
        await slow.declared(timeout_s=ASK_S)

    backends = {FAST: ask_fast, SLOW: ask_slow, "queue": queue.ready}

    @service.get("/health/all", responses=example({FAST: "ok", SLOW: "ng", "queue": "ok"}))
    async def health_all() -> dict[str, str]:
        """Each backend: ok, or ng if it cannot be used now."""
        found = await asyncio.gather(*(trouble(ask) for ask in backends.values()))
        return {name: "ng" if reason else "ok" for name, reason in zip(backends, found, strict=True)}

    @service.get("/metadata", responses=example(describe.metadata("0123456789ab", 1.0)) | describe.WRONG)
    async def metadata() -> describe.Metadata:
        """Types of input and output, with a sample, the models, and when the fast one decides alone."""
        return describe.metadata((await fast.declared()).version, threshold)

    @service.get("/label", responses=example(list(LABELS)))
    async def label() -> list[str]:
        """The classes."""
        return list(LABELS)


async def wait_a_little(queue: QueueClient, seconds: float, stopping: Callable[[], bool]) -> None:
    """All start at the same time, so that the queue is given a moment; but who has fast answers does not wait long."""
    end = asyncio.get_running_loop().time() + seconds
    while reason := await trouble(queue.ready):
        if stopping() or asyncio.get_running_loop().time() > end:
            structlog.get_logger("queue").warning("started without the queue", reason=reason)
            return
        await asyncio.sleep(_RETRY_S)


async def trouble(ask: Callable[[], Awaitable[None]]) -> str | None:
    """Why what is asked cannot be used now; None if it can."""
    try:
        await ask()
    except MlsysError as error:
        return str(error)
    return None
