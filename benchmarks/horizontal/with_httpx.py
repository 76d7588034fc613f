"""The peer: the same proxy with httpx in the place of mlsys.upstream, and nothing of policies, hedges and deadlines."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec

from chapter4_serving_patterns.horizontal_microservice_pattern.client import Prediction
from chapter4_serving_patterns.horizontal_microservice_pattern.describe import Predictions
from chapter4_serving_patterns.horizontal_microservice_pattern.settings import Settings
from mlsys import iris
from mlsys.app import Service


def create_app() -> Service:
    """POST /predict alone."""
    settings = Settings()
    service = Service(title="with_httpx", description=__doc__ or "", settings=settings)
    decoder = msgspec.json.Decoder(Prediction)
    client = httpx.AsyncClient(timeout=settings.branch_timeout_s, headers={"content-type": "application/json"})

    @asynccontextmanager
    async def connected() -> AsyncIterator[None]:
        async with client:
            yield

    async def ask(url: str, body: bytes) -> Prediction:
        response = await client.post(f"{url}/predict", content=body)
        return decoder.decode(response.raise_for_status().content)

    @service.fast_post("/predict")
    async def predict(flower: iris.Flower) -> Predictions:
        """What each service answers to one flower."""
        body = msgspec.json.encode(flower)
        found = await asyncio.gather(*(ask(urls[0], body) for urls in settings.urls.values()))
        return dict(zip(settings.urls, found, strict=True))  # type: ignore[return-value]

    service.while_serving(connected)
    return service
