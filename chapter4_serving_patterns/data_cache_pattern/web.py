"""The raw items of an HTTP server: an object store, or any server of files."""

import re

import aiohttp

from mlsys.errors import BadGateway, NotReady

from .source import capped, in_time
from .value import Absent

URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")
_GONE = (404, 410)
_PASSING = (429, 500, 502, 503, 504)


class Web:
    """Files below one URL. Redirects are not followed: the setting names the source, and nobody else does."""

    def __init__(self, url: str, timeout_s: float, max_bytes: int) -> None:
        self._url, self._timeout_s, self._max_bytes = url.rstrip("/"), timeout_s, max_bytes
        self._session: aiohttp.ClientSession | None = None

    async def read(self, name: str) -> bytes:
        """As every Source."""
        url = f"{self._url}/{name}"
        async with in_time(url, self._timeout_s):
            try:
                return capped(name, await self._get(url, name), self._max_bytes)
            except aiohttp.ClientError as error:
                raise NotReady(f"The source does not give {url}: {str(error) or type(error).__name__}.") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    async def _get(self, url: str, name: str) -> bytes:
        if self._session is None:  # it belongs to the loop that serves
            plain = {"Accept-Encoding": "identity"}  # a compressed body could become any size
            self._session = aiohttp.ClientSession(auto_decompress=False, headers=plain)
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status in _GONE:
                raise Absent(f"the source has no file {name}")
            if response.status != 200:
                kind = NotReady if response.status in _PASSING else BadGateway
                raise kind(f"The source answered {response.status} for {url}.")
            content = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                content += chunk
                if len(content) > self._max_bytes:
                    break  # the connection is closed, and the rest never comes
            return bytes(content)
