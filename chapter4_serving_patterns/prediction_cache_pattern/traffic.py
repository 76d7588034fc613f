"""Callers of the demo: one connection each, pictures that nobody has sent before, and some that are asked for more."""

import base64
import http.client
import io
import json
import random
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from PIL import Image

from mlsys import pictures

SIDE = 96


class Reply(NamedTuple):
    """One request: what X-Cache said (or the status, where it is not 200), milliseconds, body, the model's version."""

    cache: str
    ms: float
    body: bytes
    model: str = ""


class Caller:
    """One kept-alive connection to the service."""

    def __init__(self, netloc: str) -> None:
        self._connection = http.client.HTTPConnection(netloc, timeout=20)

    def ask(self, method: str, path: str, body: bytes | None = None, token: str = "") -> Reply:
        """One request. Raises: OSError, http.client.HTTPException."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        began = time.perf_counter()
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        ms = (time.perf_counter() - began) * 1000
        said = response.headers
        cache = said.get("x-cache", "") if response.status == http.client.OK else ""
        return Reply(cache or str(response.status), ms, content, said.get("x-model-version", ""))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def metric(self, name: str) -> float:
        """The value of one line of /metrics."""
        lines = self.ask("GET", "/metrics").body.decode().splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


def new_pictures(n: int) -> list[bytes]:
    """Bodies of `n` requests with pictures that this machine has never made before: the cat, and some grain."""
    with Image.open(io.BytesIO(pictures.content("cat"))) as image:
        cat = np.asarray(image.convert("RGB").resize((SIDE, SIDE)), dtype=np.int16)
    grain = np.random.default_rng()
    bodies = []
    for _ in range(n):
        content = io.BytesIO()
        noisy = np.clip(cat + grain.integers(-20, 21, cat.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(content, "PNG")
        bodies.append(json.dumps({"image_data": base64.b64encode(content.getvalue()).decode()}).encode())
    return bodies


def zipf(bodies: Sequence[bytes], n: int, exponent: float = 1.0) -> list[bytes]:
    """`n` of them, the k-th most popular with a probability that falls as 1 / k ** exponent."""
    weights = [1 / rank**exponent for rank in range(1, len(bodies) + 1)]
    return random.choices(bodies, weights, k=n)  # noqa: S311  # no secret


def at_once(netloc: str, body: bytes, n: int) -> list[Reply]:
    """`n` callers send the same at the same moment."""
    replies: list[Reply] = []
    ready = threading.Barrier(n)

    def ask() -> None:
        with Caller(netloc) as caller:
            ready.wait()
            replies.append(caller.ask("POST", "/predict/label", body))

    callers = [threading.Thread(target=ask) for _ in range(n)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return replies
