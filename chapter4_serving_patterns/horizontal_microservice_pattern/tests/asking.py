"""Requests to the proxy in this process, which serves for as long as they take."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack

from mlsys.app import Service
from mlsys.testing import Answer, exchange

from ..app import create_app
from ..settings import Settings

FLOWER = json.dumps({"data": [[5.1, 3.5, 1.4, 0.2]]}).encode()


async def ask(
    app: Service, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    named = {"content-type": "application/json", "content-length": str(len(body))} | dict(headers or {})
    return await exchange(app, method, path, [{"type": "http.request", "body": body, "more_body": False}], named)


def asked(
    settings: Settings, *requests: tuple[str, str, bytes], headers: Mapping[str, str] | None = None
) -> list[Answer]:
    """The answers to requests, one after the other, of a proxy that is started for them."""

    async def scenario() -> list[Answer]:
        app = create_app(settings)
        async with AsyncExitStack() as serving:
            await app.begin(serving)
            return [await ask(app, *request, headers) for request in requests]

    return asyncio.run(scenario())


def post(settings: Settings, path: str = "/predict", body: bytes = FLOWER, policy: str = "") -> Answer:
    (answer,) = asked(settings, ("POST", path, body), headers={"policy": policy} if policy else {})
    return answer


def get(settings: Settings, path: str) -> Answer:
    (answer,) = asked(settings, ("GET", path, b""))
    return answer
