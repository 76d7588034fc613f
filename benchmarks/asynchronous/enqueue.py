"""Jobs by `Jobs.enqueue`, without the API: `python -m benchmarks.asynchronous.enqueue FILE CLIENTS JOBS`.

The environment is the pattern's (REDIS_URL, MAX_QUEUE). Each client has one job on its way at a time. Ends with one
line of JSON that `Enqueued` reads.
"""

import asyncio
import itertools
import sys
import time
from pathlib import Path

import msgspec

from chapter4_serving_patterns.asynchronous_pattern.jobs import Jobs
from chapter4_serving_patterns.asynchronous_pattern.settings import Settings
from mlsys.redis import connect

_LIMIT_S = 10.0


class Enqueued(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many jobs, in how many seconds."""

    jobs: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Jobs in a second."""
        return self.jobs / self.seconds


async def enqueue(picture: bytes, clients: int, count: int) -> Enqueued:
    """Enqueue so many jobs. Raises: what `Jobs.enqueue` raises; a figure is only taken where every job was taken."""
    settings = Settings()
    numbers = iter(range(count))
    patient = {"pool_timeout_s": _LIMIT_S, "connect_timeout_s": _LIMIT_S, "timeout_s": _LIMIT_S}
    async with connect(settings.redis_url, max_connections=clients, **patient) as client:
        jobs = Jobs(client, settings.policy())

        async def one_after_the_other() -> None:
            for _ in numbers:
                await jobs.enqueue(picture)

        # Connections are opened before the clock runs.
        await asyncio.gather(*(jobs.enqueue(picture) for _ in itertools.islice(numbers, clients)))
        began = time.perf_counter()
        await asyncio.gather(*(one_after_the_other() for _ in range(clients)))
        return Enqueued(max(0, count - clients), time.perf_counter() - began)


if __name__ == "__main__":
    file, clients, count = sys.argv[1:]
    found = asyncio.run(enqueue(Path(file).read_bytes(), int(clients), int(count)))
    print(msgspec.json.encode(found).decode())
