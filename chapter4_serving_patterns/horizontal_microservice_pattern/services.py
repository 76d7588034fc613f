"""The services behind the proxy: their connections, what they can be asked, and how the start waits for them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import structlog

from mlsys.errors import MlsysError, StartupError
from mlsys.upstream import Upstream

from .branch import Branch
from .client import Client, WrongService
from .composition import Composition
from .hedge import Hedge
from .settings import Settings

Q = TypeVar("Q")
A = TypeVar("A")
_RETRY_S = 0.1
_SAY_S = 0.5  # that a service is given to say what it is


class Services:
    """The service of each species. predict, predict_test, health: the same question to all of them.

    Raises: SettingsError of a URL that is none.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._upstreams = {
            name: [Upstream(name, url, max_connections=settings.max_concurrency) for url in urls]
            for name, urls in settings.urls.items()
        }
        self._clients = {name: [Client(name, each) for each in found] for name, found in self._upstreams.items()}
        self.predict = self._composition(lambda client: client.predict)
        self.predict_test = self._composition(lambda client: client.predict_test)
        self.health = self._composition(lambda client: client.health)

    def _composition(self, ask: Callable[[Client], Callable[[Q, float], Coroutine[Any, Any, A]]]) -> Composition[Q, A]:
        return Composition(
            {
                name: Branch([ask(client) for client in clients], Hedge(self._settings.hedge_share))
                for name, clients in self._clients.items()
            }
        )

    @asynccontextmanager
    async def connected(self, stopping: Callable[[], bool]) -> AsyncIterator[None]:
        """Their connections. Raises: StartupError if a service is there that is another one's."""
        async with AsyncExitStack() as stack:
            for upstreams in self._upstreams.values():
                for upstream in upstreams:
                    await stack.enter_async_context(upstream)
            await self._wait_a_little(stopping)
            yield

    async def _wait_a_little(self, stopping: Callable[[], bool]) -> None:
        """All start at the same time, so that they are given a moment; but a proxy whose services fail does start."""
        end = asyncio.get_running_loop().time() + self._settings.branch_wait_s
        while reasons := [reason for reason in await self._introduced() if reason]:
            if stopping() or asyncio.get_running_loop().time() > end:
                structlog.get_logger("proxy").warning("started without some services", reasons=reasons)
                return
            await asyncio.sleep(_RETRY_S)

    async def _introduced(self) -> list[str | None]:
        clients = [(name, client) for name, found in self._clients.items() for client in found]
        return await asyncio.gather(*(self._introduce(name, client) for name, client in clients))

    async def _introduce(self, name: str, client: Client) -> str | None:
        """Why the service did not say what it is; None if it did. Raises: StartupError."""
        try:
            await client.introduce(_SAY_S)
        except WrongService as error:
            raise StartupError(f"{name.upper()}_URL={','.join(self._settings.urls[name])}: {error}") from error
        except MlsysError as error:
            return str(error)
        return None
