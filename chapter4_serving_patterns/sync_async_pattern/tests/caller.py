"""A service in this process, between its start and its end, in one loop: what it opened at its start stays open."""

import asyncio
import base64
import json
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Self, TypeVar

from mlsys.app import Service
from mlsys.testing import Answer, exchange

T = TypeVar("T")


class Caller:
    """Who asks the service, from `with` to its end."""

    def __init__(self, app: Service) -> None:
        self.app = app
        self._runner = asyncio.Runner()
        self._serving = AsyncExitStack()

    def __enter__(self) -> Self:
        self._runner.run(self.app.begin(self._serving))
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._serving.aclose())
        self._runner.close()

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """One request with a body declared to be JSON."""
        return self.run(self.asked(method, path, body, headers))

    async def asked(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        leaves: bool = False,
    ) -> Answer:
        """The same inside of the loop; `leaves`: the caller goes away as soon as it has sent its request."""
        named = {"content-type": "application/json", "content-length": str(len(body))} | dict(headers or {})
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        if leaves:
            messages.append({"type": "http.disconnect"})
        return await exchange(self.app, method, path, messages, named)

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Run something in the service's loop, to its end."""
        return self._runner.run(work)

    def post(self, picture: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """One picture to predict."""
        body = json.dumps({"image_data": base64.b64encode(picture).decode()}).encode()
        return self.ask("POST", "/predict", body, headers)

    def metric(self, why_not: str) -> float:
        """How often there was this reason for no better answer."""
        lines = self.ask("GET", "/metrics").body.decode().splitlines()
        name = f'sync_async_answers_total{{why_not="{why_not}"}} '
        return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))
