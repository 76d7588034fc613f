"""Keeps the queue filled through the API: `python -m benchmarks.asynchronous.posting PORT FILE CLIENTS DEPTH SECONDS`.

FILE is a request's body. The clients post as long as fewer than DEPTH jobs wait, so that the API does the work for the
jobs that are done, and no more.
"""

import asyncio
import sys
import time
from pathlib import Path

import aiohttp

LOOK_S = 0.02
_HEADERS = {"Content-Type": "application/json"}


async def post(port: int, body: bytes, clients: int, depth: int, seconds: float) -> None:
    """Post for so many seconds. Raises: aiohttp.ClientError if a request fails."""
    url, end = f"http://127.0.0.1:{port}", time.monotonic() + seconds
    room = asyncio.Event()
    timeout = aiohttp.ClientTimeout(total=10)
    connector = aiohttp.TCPConnector(limit=clients + 1)
    async with aiohttp.ClientSession(raise_for_status=True, timeout=timeout, connector=connector) as session:

        async def client() -> None:
            while time.monotonic() < end:
                await room.wait()
                async with session.post(f"{url}/predict", data=body, headers=_HEADERS) as answer:
                    await answer.read()

        posting = [asyncio.create_task(client()) for _ in range(clients)]
        while time.monotonic() < end:
            async with session.get(f"{url}/queue") as answer:
                (room.set if (await answer.json())["depth"] < depth else room.clear)()
            await asyncio.sleep(LOOK_S)
        room.set()
        await asyncio.gather(*posting)


if __name__ == "__main__":
    port, file, clients, depth, seconds = sys.argv[1:]
    asyncio.run(post(int(port), Path(file).read_bytes(), int(clients), int(depth), float(seconds)))
