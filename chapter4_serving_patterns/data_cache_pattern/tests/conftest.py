"""The service in this process, with a loop of its own; the real model server, in its own process."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from mlsys import pictures
from mlsys.app import Service
from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.ready import reason_not_ready
from mlsys.testing import Answer, eventually, exchange

from ..app import create_app, kind
from ..samples import write
from ..settings import Settings

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="session")
def model_target(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a model server that serves cifar10_large."""
    http, grpc = free_port(), free_port()
    options = ["--models", str(models / "cifar10_large"), "--workers", "1", "--http", str(http), "--grpc", str(grpc)]
    with (tmp_path_factory.mktemp("server") / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlsys.server", *options],
            cwd=ROOT,
            env={**os.environ, "LOG_FORMAT": "json"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: reason_not_ready(f"http://127.0.0.1:{http}") is None, deadline_s=60)
        yield f"127.0.0.1:{grpc}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sample items."""
    folder = tmp_path_factory.mktemp("samples")
    pictures.write(folder / "pictures")
    write(folder / "pictures", folder / "items")
    return folder / "items"


@pytest.fixture
def items(samples: Path, tmp_path: Path) -> Path:
    """A copy of it, which a test may change."""
    return shutil.copytree(samples, tmp_path / "items")


def key(source: Path, item: str) -> str:
    """Where Redis has the tensor of an item of that source."""
    return f"{{items}}:{kind(str(source)).name}:{item}"


class Running:
    """A service that has begun, in a thread of its own."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._serving = AsyncExitStack()

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.service.begin(self._serving), self._loop).result(60)
        except BaseException:  # a service that does not start leaves no thread that runs on
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._serving.aclose(), self._loop).result(60)
        asyncio.run_coroutine_threadsafe(self._loop.shutdown_default_executor(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def begin(self, method: str, path: str, body: bytes = b"", **headers: str) -> "Future[Answer]":
        """Send a request and do not wait for its answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        message = {"type": "http.request", "body": body, "more_body": False}
        sent = exchange(self.service, method, path, [message], JSON | {"content-length": str(len(body))} | named)
        return asyncio.run_coroutine_threadsafe(sent, self._loop)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """One request and its answer."""
        return self.begin(method, path, body, **headers).result(60)

    def label(self, item: str, **headers: str) -> Answer:
        """POST /predict/label of an item."""
        return self.ask("POST", "/predict/label", b'{"data": "%s"}' % item.encode(), **headers)

    def counted(self, event: str) -> float:
        """What the metric says of an event."""
        shown = self.ask("GET", "/metrics").body.decode().splitlines()
        found = [line.split()[-1] for line in shown if line.startswith(f'data_cache_events_total{{event="{event}"}}')]
        return float(found[0]) if found else 0.0


Begin = Callable[..., Running]


@pytest.fixture
def begin(redis_url: str, items: Path, model_target: str) -> Iterator[Begin]:
    """`begin(**settings)` starts the service with an empty Redis, the sample items and no warming; the test ends it.

    Redis is given long: the machine that tests may be slow, and that is no failure of Redis.
    """
    with ExitStack() as stack:

        def begin(**settings: object) -> Running:
            values: dict[str, Any] = {
                "redis_url": redis_url,
                "source": str(items),
                "model_target": model_target,
                "warm_items": 0,
                "cache_timeout_s": 5.0,
                "access_log": False,
            }
            return stack.enter_context(Running(create_app(Settings(**values | settings))))

        yield begin
