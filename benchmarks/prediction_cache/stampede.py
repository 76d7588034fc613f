"""The other side of one comparison: the same service without single-flight, in the process and between processes."""

import asyncio

from chapter4_serving_patterns.prediction_cache_pattern.app import create_app as create_cached
from chapter4_serving_patterns.prediction_cache_pattern.cache import Answer, Cache, Compute
from chapter4_serving_patterns.prediction_cache_pattern.key import Key
from chapter4_serving_patterns.prediction_cache_pattern.memory import Found
from chapter4_serving_patterns.prediction_cache_pattern.settings import Settings
from mlsys.app import Service


class Stampeding(Cache):
    """Everybody who finds nothing computes."""

    def _flight(self, key: Key, compute: Compute, found: Found | None, reason: str = "") -> asyncio.Task[Answer]:
        async def alone() -> Answer:
            answer = await self._bypass(compute, reason)
            if found:
                await self._keep(key, answer.outcome, found.marks)
            return answer

        return asyncio.create_task(alone())


def create_app() -> Service:
    """The service, in front of the same model server and Redis."""
    settings = Settings()
    service = create_cached(settings)
    service.cache = Stampeding(service.store, settings.policy())
    return service
