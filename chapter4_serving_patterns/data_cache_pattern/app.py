"""Assembly: the cache before the source, the model server behind both, and what keeps the cache warm."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from prometheus_client import Counter
from redis import RedisError
from starlette.requests import ClientDisconnect

from mlsys import redis
from mlsys.app import Service
from mlsys.errors import NotReady
from mlsys.redis import Redis
from mlsys.remote import RemoteModel

from . import __doc__ as intent  # the pattern's one sentence
from .cache import TensorCache
from .classifier import Classifier
from .items import PIXELS, Items
from .predictor import Predictor
from .routes import add_routes, caller_gone
from .settings import Settings
from .source import Folder, Source
from .value import Kind
from .web import URL, Web

CHUNK = 64
"""Items that one round trip to Redis asks for when all are looked through."""


def create_app(settings: Settings | None = None) -> Service:
    """The service. It answers nobody before source and model server can be used. Raises: SettingsError."""
    settings = settings or Settings()
    service = Service(title="data_cache_pattern", description=intent or "", settings=settings)
    wait_s = settings.cache_timeout_s
    client = redis.connect(settings.redis_url, pool_timeout_s=wait_s, connect_timeout_s=wait_s, timeout_s=wait_s)
    items = Items(source(settings), settings.decode_threads)
    cache = TensorCache(client, items.pixels, kind(settings.source), settings.policy, time.time, counted(service))
    classifier = Classifier(RemoteModel(settings.model_target, settings.model_name))

    async def model_agrees() -> None:
        await classifier.agree()

    service.start_when("The source", items.require_index, within_s=settings.source_wait_s)
    service.start_when("The model server", model_agrees, within_s=settings.model_wait_s)
    service.ready_when("model", model_agrees)
    service.ready_when("source", lambda: state_of_source(items))
    service.ready_when("cache", lambda: state_of_cache(client))

    @asynccontextmanager
    async def at_work() -> AsyncIterator[None]:
        cache.flights.start(keep_warm(items, cache, settings))
        try:
            yield
        finally:
            await cache.flights.close()
            await asyncio.gather(items.close(), classifier.close(), client.aclose())

    service.while_serving(at_work)
    service.add_exception_handler(ClientDisconnect, caller_gone)
    add_routes(service, items, Predictor(items, cache, classifier), classifier)
    return service


def source(settings: Settings) -> Source:
    """What SOURCE names: a URL, or else a folder."""
    if URL.fullmatch(settings.source):
        return Web(settings.source, settings.source_timeout_s, settings.max_item_bytes)
    return Folder(Path(settings.source), settings.source_timeout_s, settings.max_item_bytes)


def kind(source: str) -> Kind:
    """The tensors of this source: another that shares the Redis may mean something else by the same ids."""
    return PIXELS._replace(name=f"{PIXELS.name}-{hashlib.sha256(source.encode()).hexdigest()[:12]}")


def counted(service: Service) -> Callable[[str], object]:
    """A metric of what the cache tells."""
    events = Counter(
        "data_cache_events",
        "Tensors by how they were found (hit, stale, miss, …), and what became of fetches and fills.",
        ["event"],
        registry=service.metrics.registry,
    )
    return lambda event: events.labels(event.replace(" ", "_")).inc()


async def keep_warm(items: Items, cache: TensorCache, settings: Settings) -> None:
    """At once and then every WARM_EVERY_S: read the index, and fetch what the cache does not have young."""
    while True:
        warm = list(items.names)[: settings.warm_items]
        try:
            for start in range(0, len(warm), CHUNK):
                await cache.warm(warm[start : start + CHUNK])
        except RedisError as error:  # not that it is away, which the cache takes: a right that is lacking, say
            structlog.get_logger("cache").error("Redis cannot be used as it is", reason=redis.said(error))
        await asyncio.sleep(settings.warm_every_s)
        await items.refresh()


async def state_of_source(items: Items) -> str:
    """A source that is away leaves the service ready: it still has what the cache has."""
    return f"away: {items.trouble}" if items.trouble else "ok"


async def state_of_cache(client: Redis) -> str:
    """Redis that is away leaves the service ready, and slower."""
    try:
        await redis.ready(client)
    except NotReady as error:
        return f"away: {error}"
    return "ok"
