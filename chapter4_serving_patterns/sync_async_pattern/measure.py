"""What a caller waits for both answers, and what each model costs: the measurements of the demo."""

import http.client
import json
import time
from base64 import b64encode
from typing import Any, NamedTuple

import numpy as np

from mlsys import picture, pictures
from mlsys.model import Model

from . import evidence

WARM_UP, RUNS = 5, 50
DEADLINE_S = 30.0


class Waited(NamedTuple):
    """One request: what came, and after how many milliseconds. Without a better answer `slow` is why there is none."""

    name: str
    fast: str
    probability: float
    slow: str
    fast_ms: float
    slow_ms: float | None


class Client:
    """One caller with one kept connection."""

    def __init__(self, netloc: str) -> None:
        self._connection = http.client.HTTPConnection(netloc, timeout=DEADLINE_S)

    def both(self, name: str) -> Waited:
        """Send a photograph, and wait for all answers that it gets.

        Raises: OSError, RuntimeError; KeyError, ValueError if it is another service that answers.
        """
        body = json.dumps({"image_data": b64encode(pictures.content(name)).decode()})
        began = time.perf_counter()
        self._connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        found = self._answer()
        fast_ms = (time.perf_counter() - began) * 1000
        slow, slow_ms = found["why_not"], None
        if found["better"]:
            slow = self._wait_for(found["job_id"])
            slow_ms = (time.perf_counter() - began) * 1000
        return Waited(name, found["cifar10_small"], found["probability"], slow, fast_ms, slow_ms)

    def _answer(self) -> dict[str, Any]:
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"The service answered {response.status}: {body[:200].decode(errors='replace')}")
        document: dict[str, Any] = json.loads(body)
        return document

    def _wait_for(self, job_id: str) -> str:
        """The slow model's label, told by server-sent events as soon as it is there."""
        self._connection.request("GET", f"/job/{job_id}/events")
        response = self._connection.getresponse()
        state: dict[str, Any] = {}
        while line := response.readline():
            if line.startswith(b"data:"):
                state = json.loads(line[5:])[job_id]
        if state.get("state") != "done":
            raise RuntimeError(f"Job {job_id} did not get done: {state}")
        return str(state["prediction"])


def rounds(client: Client) -> list[Waited]:
    """Each photograph in turn, one request after another; the first ones warm up and do not count."""
    names = [pictures.NAMES[number % len(pictures.NAMES)] for number in range(WARM_UP + RUNS)]
    return [client.both(name) for name in names][WARM_UP:]


def milliseconds(name: str) -> float:
    """What one picture costs one core: the median time of the shipped model, in this process, on one thread."""
    model = Model.load(evidence.FOLDER / name / "model.onnx", threads=1)
    sample = np.zeros((1, picture.SIDE, picture.SIDE, 3), dtype=np.uint8)
    taken = []
    for _ in range(WARM_UP + RUNS):
        began = time.perf_counter()
        model.predict(sample)
        taken.append((time.perf_counter() - began) * 1000)
    return float(np.median(taken[WARM_UP:]))
