"""The items that there are, and how one becomes a tensor: looked up in the index, read, decoded."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import structlog

from mlsys.errors import NotFound, ServiceError
from mlsys.picture import SIDE, to_pixels

from . import source
from .source import Source
from .value import Absent, Array, Kind

PIXELS = Kind("cifar10-pixels-1", np.dtype(np.uint8), (SIDE, SIDE, 3))
"""What the image models take. Change the name with the way a picture becomes pixels (mlsys.picture)."""


class Items:
    """What the source has, by its index as it was last read. An id is only ever looked up in it."""

    def __init__(self, source: Source, threads: int) -> None:
        self._source = source
        self._pool = ThreadPoolExecutor(threads, "decode")
        self._log = structlog.get_logger("items")
        self.names: Mapping[str, str] = {}
        self.trouble: str | None = None

    async def require_index(self) -> None:
        """Read the index. Raises: ServiceError if it cannot be used now."""
        self.names = await source.index(self._source)

    async def refresh(self) -> None:
        """Read the index again; while that fails the last one holds, `trouble` says why, and it is logged once."""
        try:
            await self.require_index()
            self.trouble = None
        except ServiceError as error:
            if self.trouble is None:
                self._log.warning("the index cannot be read; the last one holds", reason=str(error))
            self.trouble = str(error)

    def require(self, item: str) -> None:
        """Raises: NotFound if the index does not have the id."""
        if item not in self.names:
            raise NotFound(f"There is no item {item!r}; GET /items lists them.")

    async def pixels(self, item: str) -> Array:
        """The item's tensor, uint8 [32, 32, 3]. Raises: Absent; what the source raises."""
        if item not in self.names:
            raise Absent("the index does not have it any more")
        try:
            content = await self._source.read(self.names[item])
        except Absent:
            await self.require_index()  # a volume that is not mounted lacks every file, and no item is gone for that
            raise
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, to_pixels, content)
        except ServiceError as error:  # of the picture, which is not the caller's
            raise Absent(f"its picture cannot be used: {error}") from None

    async def close(self) -> None:
        """Let go of the source and of the threads."""
        await self._source.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
