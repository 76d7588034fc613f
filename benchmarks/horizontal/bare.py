"""The floor: aiohttp asks the three services and their answers are put side by side; nothing is checked or handled."""

import asyncio
import os

import aiohttp
import msgspec
from yarl import URL

from mlsys.edge import App, Receive, Scope, Send
from mlsys.iris import LABELS


def create_app() -> App:
    """POST /predict, as a plain ASGI app."""
    urls = {name: URL(os.environ[f"{name.upper()}_URL"]) / "predict" for name in LABELS}
    headers = {"Content-Type": "application/json"}
    sessions: list[aiohttp.ClientSession] = []

    async def ask(url: URL, body: bytes) -> msgspec.Raw:
        async with sessions[0].post(url, data=body, headers=headers) as response:
            return msgspec.Raw(await response.read())

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await sessions[0].close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        answers: dict[str, object] = {}
        if scope["method"] == "POST":
            body = (await receive())["body"]
            answers = dict(zip(urls, await asyncio.gather(*(ask(url, body) for url in urls.values())), strict=True))
        content = msgspec.json.encode(answers)
        length = (b"content-length", b"%d" % len(content))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": content})

    return app
