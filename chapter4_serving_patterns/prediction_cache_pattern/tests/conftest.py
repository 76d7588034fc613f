"""The service in this process, on one event loop, in front of a stand-in for the model server."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from mlsys import pictures
from mlsys.testing import Answer, exchange

from ..app import assemble
from ..service import CachedService
from ..settings import Settings
from .standin import StandIn

TOKEN = "a-token-of-the-tests"  # noqa: S105  # no secret


class House:
    """A service that has begun to serve, and a way to ask it. Unless it is said otherwise, Redis has time enough."""

    def __init__(self, runner: asyncio.Runner, model: StandIn, folder: Path, redis_url: str, **values: object) -> None:
        given: dict[str, Any] = {
            "redis_url": redis_url,
            "pictures_path": folder,
            "cache_token": TOKEN,
            "redis_budget_ms": 1000,
            "model_poll_s": 3600,
            "access_log": False,
        }
        given.update(values)
        self.model = model
        self.service: CachedService = assemble(Settings(**given), model)
        self._runner = runner
        self._serving = AsyncExitStack()
        runner.run(self.service.begin(self._serving))

    def ask(self, method: str, path: str, body: object = None, token: str = "") -> Answer:
        """One request."""
        return self.at_once([body], method, path, token)[0]

    def post(self, body: object, path: str = "/predict") -> Answer:
        """One prediction."""
        return self.ask("POST", path, body)

    def at_once(
        self, bodies: list[object], method: str = "POST", path: str = "/predict", token: str = ""
    ) -> list[Answer]:
        """Several requests at the same time."""
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})

        async def one(body: object) -> Answer:
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            message = {"type": "http.request", "body": sent, "more_body": False}
            return await exchange(self.service, method, path, [message], headers)

        async def all_of_them() -> list[Answer]:
            return await asyncio.gather(*(one(body) for body in bodies))

        return self._runner.run(all_of_them())

    def metric(self, name: str) -> float:
        """A value of /metrics."""
        lines = self.ask("GET", "/metrics").body.decode().splitlines()
        (value,) = [line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")]
        return float(value)

    def close(self) -> None:
        """End, as a service does that is stopped."""
        self._runner.run(self._serving.aclose())


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    pictures.write(folder)
    return folder


@pytest.fixture
def model() -> StandIn:
    return StandIn()


@pytest.fixture
def start_house(model: StandIn, photographs: Path) -> Iterator[Callable[..., House]]:
    """`start_house(redis_url, **settings)`: all of them on one event loop, in front of one model."""
    houses: list[House] = []
    with asyncio.Runner() as runner:

        def begin(redis_url: str, **values: object) -> House:
            houses.append(House(runner, model, photographs, redis_url, **values))
            return houses[-1]

        yield begin
        for house in houses:
            house.close()


@pytest.fixture
def house(start_house: Callable[..., House], redis_url: str) -> House:
    return start_house(redis_url)
