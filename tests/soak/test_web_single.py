"""The web single pattern for longer: twenty workers killed under load, one after the other."""

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from mlsys.testing import Server, eventually
from tests.e2e.wire import FLOWER, HEAD, LENGTH, TARGET, both_serve, errors_in, metric, send

pytestmark = pytest.mark.soak

KILLS, CALLERS = 20, 4


class Load:
    """Callers who each send one flower after the other, on a connection each, until told to stop.

    answered: whole predictions. broken: requests without an answer, or with a part of one. wrong: any other answer.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self._counting = threading.Lock()
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]
        self.answered = self.broken = 0
        self.wrong: list[bytes] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        while not self._stop.is_set():
            try:
                answer = send(self._server, HEAD, LENGTH, b"Connection: close\r\n\r\n", FLOWER)
            except OSError:
                answer = b""
            with self._counting:
                if b'{"prediction":[0.9' in answer and answer.endswith(b"]}"):
                    self.answered += 1
                elif not answer or answer.startswith(b"HTTP/1.1 200 OK\r\n"):
                    self.broken += 1
                else:
                    self.wrong.append(answer)


def test_twenty_killed_workers_cost_no_more_than_the_requests_they_held(
    serve: Callable[..., Server], models: Path
) -> None:
    server = serve(TARGET, MODEL_PATH=str(models / "iris_svc" / "model.onnx"), WORKERS="2")
    eventually(lambda: both_serve(server), deadline_s=20)
    with Load(server) as load:
        for _ in range(KILLS):
            victim = random.choice(server.workers())  # noqa: S311
            before = load.answered
            os.kill(victim, signal.SIGKILL)
            eventually(lambda gone=victim: gone not in server.workers() and both_serve(server), deadline_s=20)  # type: ignore[misc]
            eventually(lambda seen=before: load.answered > seen + 100, deadline_s=20)  # type: ignore[misc]
    assert load.wrong == []
    assert load.broken <= KILLS * CALLERS
    counted = metric(server, 'http_requests_total{method="POST",route="/predict",status="200"}')
    # A worker may die between an answer and its count: one for each kill, since a worker does one thing at a time.
    assert load.answered - KILLS <= counted <= load.answered + load.broken
    assert server.stop() == 0
    assert errors_in(server.log) == []
    print(f"{load.answered} answered, {load.broken} broken by {KILLS} kills")
