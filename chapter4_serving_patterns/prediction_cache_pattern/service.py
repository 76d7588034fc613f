"""The kind of service whose answers say by headers whether they are remembered, since when, and from which model."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from mlsys.app import Service
from mlsys.edge import Message, Receive, Scope, Send
from mlsys.errors import MlsysError, NotReady
from mlsys.redis import connect
from mlsys.remote import NoSuchModel

from . import __doc__ as intent  # the pattern's one sentence
from . import describe
from .breaker import Breaker
from .cache import Answer, Cache, Result
from .items import Catalogue
from .key import Key
from .memory import Unavailable
from .model import Classifier, Model, preprocessing
from .near import Near
from .prediction import Prediction, restore
from .report import Report
from .settings import Settings
from .store import RedisStore

_CLIENT_TIMEOUT_S = 3.0
"""After which a connection is given up. Nobody waits so long, but for an invalidation: see `breaker`."""
_headers: ContextVar[list[tuple[bytes, bytes]]] = ContextVar("headers")


class CachedService(Service):
    """Predictions of items and of pictures, through the cache."""

    def __init__(self, settings: Settings, model: Model) -> None:
        """Raises: SettingsError, StartupError if a photograph is missing."""
        super().__init__(title="prediction_cache_pattern", description=intent or "", settings=settings)
        self.catalogue = Catalogue(settings.pictures_path)
        self._report = Report(self.metrics.registry)
        self._namespace, self._preprocessing = settings.cache_namespace, preprocessing()
        client = connect(settings.redis_url, connect_timeout_s=_CLIENT_TIMEOUT_S, timeout_s=_CLIENT_TIMEOUT_S)
        breaker = Breaker(budget_s=settings.redis_budget_ms / 1000, rest_s=settings.redis_rest_s)
        self.store = RedisStore(client, breaker)
        near = Near(self.store, entries=settings.near_entries, keep_s=settings.near_s)
        self.cache = Cache(near if settings.near_entries else self.store, settings.policy())
        self.classifier = Classifier(
            model,
            self._report.called,
            timeout_s=settings.model_timeout_s,
            poll_s=settings.model_poll_s,
        )
        self.while_serving(self._connected)
        self.while_serving(self.classifier.watched)
        self.start_when("The model server", self._model_known, within_s=settings.model_wait_s)
        self.ready_when("model", self._model_ready)
        self.ready_when("cache", self.store.ready)

    async def predict_item(self, item: str) -> Prediction:
        """Of one of the catalogue. Raises: NotFound, what the model raises."""
        return await self._predict(f"id:{item}", self.catalogue.content(item))

    async def predict_picture(self, content: bytes) -> Prediction:
        """Of a picture's file. Raises: what `prediction.REFUSALS` are, what the model raises."""
        return await self._predict(f"sha256:{hashlib.sha256(content).hexdigest()}", content)

    async def forget(self, *, model: str = "", item: str = "") -> None:
        """Invalidate. Raises: NotReady if Redis does not say that it has; what it did not do in time it may do late."""
        try:
            await self.cache.forget(self._namespace, model=model, item=item)
        except Unavailable as error:
            raise NotReady(f"Redis is {error.reason}, and has not confirmed the invalidation; try again.") from error

    async def _predict(self, item: str, content: bytes) -> Prediction:
        try:
            return await self._by_the_model_meant(item, content)
        except NoSuchModel:  # another took its place; its predictions have keys of their own
            await self.classifier.declared(again=True)
            return await self._by_the_model_meant(item, content)

    async def _by_the_model_meant(self, item: str, content: bytes) -> Prediction:
        declared = await self.classifier.declared()
        key = Key(self._namespace, declared.version, self._preprocessing, item)
        answer = await self.cache.answer(key, partial(self.classifier.predict, content, declared))
        self._report.answered(answer)
        _headers.get().extend(_said(answer, declared.version))
        return restore(answer.outcome)

    async def _model_known(self) -> None:
        await self.classifier.agree()

    async def _model_ready(self) -> str | None:
        # Without the model, what is remembered is still answered; and as all pods ask one server, none would be left to
        # do it. Without a memory too, there is nothing to answer.
        try:
            await self.classifier.agree()
        except MlsysError as error:
            if await self.store.ready() != "ok":
                raise
            return f"only what is cached: {error}"
        return None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        await self.store.ready()  # it opens a connection, for which the first request need not wait
        yield
        await self.store.close()

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document of every route."""
        return describe.complete(super().openapi())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        headers: list[tuple[bytes, bytes]] = []

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        _headers.set(headers)
        await super().__call__(scope, receive, with_headers)


def _said(answer: Answer, version: str) -> list[tuple[bytes, bytes]]:
    said = [(b"x-cache", answer.result.encode()), (b"x-model-version", version.encode())]
    if answer.result in (Result.HIT, Result.STALE):
        said.append((b"age", b"%d" % answer.age_s))
    return said
