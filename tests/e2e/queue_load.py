"""Callers who enqueue pictures as the asynchronous pattern's clients should: each job with an Idempotency-Key, sent
again until it is acknowledged.
"""

import base64
import io
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import urllib3
from PIL import Image

from mlsys import pictures
from mlsys.model import Model
from mlsys.testing import Answer

WINDOW, STRIDE = 128, 32
SURE = 0.05
"""By how much the first class leads the second; batches of other sizes round otherwise in the last digits."""
PASSING = (0, 429, 503, 504)
"""Statuses after which a client sends again; 0 is a connection that broke."""
_AGAIN_S = 0.05
_REPEATED = 10  # each so manieth job is sent once more after it was acknowledged, as if the answer had been lost


class Sample(NamedTuple):
    """A request's body, and the label that the model gives its picture."""

    body: bytes
    label: str


def samples(file: Path) -> list[Sample]:
    """Windows of the sample photographs, as PNG files of 32 × 32 pixels, with what the model in `file` says of them."""
    model = Model.load(file)
    pixels = np.stack([window for name in pictures.NAMES for window in _windows(pictures.content(name))])
    probabilities = model.predict(pixels)
    second, first = np.sort(probabilities, axis=1)[:, -2:].T
    labels = [model.metadata.labels[place] for place in probabilities.argmax(axis=1)]
    found = [
        Sample(json.dumps({"image_data": base64.b64encode(_png(window)).decode()}).encode(), label)
        for window, label, sure in zip(pixels, labels, first - second > SURE, strict=True)
        if sure
    ]
    if len({sample.label for sample in found}) < 3:
        raise ValueError(f"{file} says the same of almost all pictures: a wrong answer would not be seen.")
    return found


def _windows(content: bytes) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    with Image.open(io.BytesIO(content)) as image:
        places = range(0, image.width - WINDOW + 1, STRIDE)
        boxes = [(left, top, left + WINDOW, top + WINDOW) for left in places for top in places]
        return [np.asarray(image.crop(box).resize((32, 32))) for box in boxes]


def _png(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


class Load:
    """`callers` threads that enqueue `jobs` jobs in all, as far as `allow` lets them.

    ids: the acknowledged jobs, by number; job n is of samples[n % len(samples)]. statuses: what was answered.
    strange: answers that no client of this service should get, with the job's number.
    """

    def __init__(self, port: int, samples: list[Sample], jobs: int, *, callers: int = 6) -> None:
        limit = urllib3.Timeout(connect=2, read=8)
        self._pool = urllib3.PoolManager(maxsize=callers, retries=False, timeout=limit)
        self._url = f"http://127.0.0.1:{port}"
        self._samples = samples
        self.jobs = jobs
        self._turn = threading.Condition()
        self._given = self._allowed = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]
        self.ids: dict[int, str] = {}
        self.statuses: Counter[int] = Counter()
        self.strange: list[tuple[int, Answer]] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        with self._turn:
            self._turn.notify_all()
        for thread in self._threads:
            thread.join()

    def allow(self, jobs: int) -> None:
        """Let the callers go on until so many jobs have been sent in all."""
        with self._turn:
            self._allowed = jobs
            self._turn.notify_all()

    @property
    def acknowledged(self) -> int:
        """How many jobs have been."""
        return len(self.ids)

    @property
    def rests(self) -> bool:
        """Whether all jobs that are allowed have been acknowledged."""
        return self.acknowledged >= self._allowed

    def answers(self) -> dict[int, dict[str, Any]]:
        """What the service says of each acknowledged job, by number; {} of one that it does not know."""
        with ThreadPoolExecutor(len(self._threads)) as pool:
            return dict(pool.map(self._answer, sorted(self.ids)))

    def right(self, number: int, answer: dict[str, Any]) -> bool:
        """Whether job `number` is done, with what the model says of its picture."""
        label = self._samples[number % len(self._samples)].label
        return answer.get("state") == "done" and answer.get("prediction") == label

    def _answer(self, number: int) -> tuple[int, dict[str, Any]]:
        job_id = self.ids[number]
        answer = self._ask("GET", f"/job/{job_id}")
        while answer.status in PASSING and not self._stop.wait(_AGAIN_S):
            answer = self._ask("GET", f"/job/{job_id}")
        return number, answer.json[job_id] if answer.status == 200 else {}

    def _call(self) -> None:
        while (number := self._next()) is not None:
            job_id = self._submitted(number)
            if job_id is None:
                continue
            self.ids[number] = job_id
            if number % _REPEATED == 0 and (again := self._submitted(number)) not in (job_id, None):
                self.strange.append((number, Answer(200, {}, f"{job_id}, and then {again}".encode())))

    def _next(self) -> int | None:
        """The number of the job that is to be sent; None when there is none any more."""
        with self._turn:
            self._turn.wait_for(lambda: self._given < min(self._allowed, self.jobs) or self._over())
            if self._over():
                return None
            self._given += 1
            return self._given - 1

    def _over(self) -> bool:
        return self._stop.is_set() or self._given == self.jobs

    def _submitted(self, number: int) -> str | None:
        """The id of the job that was acknowledged; None if the service refuses it, or all is over."""
        body = self._samples[number % len(self._samples)].body
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"job-{number}-of-this-test"}
        while not self._stop.is_set():
            answer = self._ask("POST", "/predict", body, headers)
            with self._turn:
                self.statuses[answer.status] += 1
            if answer.status == 200:
                job_id: str = answer.json["job_id"]
                return job_id
            if answer.status not in PASSING:
                self.strange.append((number, answer))
                return None
            self._stop.wait(_AGAIN_S)
        return None

    def _ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        try:
            found = self._pool.request(method, self._url + path, body=body, headers=headers)
        except urllib3.exceptions.HTTPError:
            return Answer(0, {}, b"")
        return Answer(found.status, {name.lower(): value for name, value in found.headers.items()}, found.data)
