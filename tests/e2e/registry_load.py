"""Callers who upload, name and promote models all the time, remember what was acknowledged, and check it afterwards."""

import hashlib
import itertools
import json
import random
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3

from chapter2_training.model_db.tests.networks import network
from mlsys.testing import Answer, Server

TARGET = "chapter2_training.model_db.app:create_app"
TOKEN = "a token of this test"  # noqa: S105
SAID = {"who": "load", "why": "the test goes on"}
JSON = {"content-type": "application/json"}


class Api:
    """Single requests, not repeated. `port` may be served by one process after the other."""

    def __init__(self, port: int) -> None:
        limit = urllib3.Timeout(connect=5, read=30)
        self._pool = urllib3.PoolManager(maxsize=8, retries=False, timeout=limit)
        self._url = f"http://127.0.0.1:{port}/v1/api"

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """The answer. Raises: urllib3.exceptions.HTTPError if there is none."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {TOKEN}"} | ({} if isinstance(body, bytes) else JSON)
        response = self._pool.request(method, self._url + path, body=content, headers=headers)
        return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, response.data)

    def made(self, path: str, body: object) -> Any:  # noqa: ANN401  # an answer's JSON
        """What a POST made."""
        answer = self.ask("POST", path, body)
        assert answer.status == 201, answer
        return answer.json

    def pages(self, path: str) -> list[Any]:
        """All entries of a list."""
        found: list[Any] = []
        following: str | None = f"{path}?limit=500"
        while following:
            answer = self.ask("GET", following)
            assert answer.status == 200, answer
            found += answer.json
            following = answer.headers.get("link", "").partition("/v1/api")[2].partition(">")[0]
        return found


class Load:
    """`callers` threads that each upload a model, make it a version, promote it, and then others.

    statuses: what was answered, 0 for a connection that broke. uploaded: digests that were acknowledged.
    named: their version names. promoted: version names by number in the log.
    """

    def __init__(self, server: Server, callers: int = 3) -> None:
        self.api = Api(server.port)
        project = self.api.made("/projects", {"project_name": "load"})["project_id"]
        self.model_id = self.api.made("/models", {"project_id": project, "model_name": "load"})["model_id"]
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]
        self.statuses: Counter[int] = Counter()
        self.strange: list[Answer] = []
        self.uploaded: set[str] = set()
        self.named: dict[str, str] = {}
        self.promoted: dict[int, str] = {}

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                number = next(self._numbers)
            content, name = network(float(number)), f"1.0.{number}-load.1"
            digest = hashlib.sha256(content).hexdigest()
            if self._send("PUT", f"/artefacts/{digest}", content) is None:
                continue
            self.uploaded.add(digest)
            if self._send("POST", f"/models/{self.model_id}/versions", {"name": name, "sha256": digest}) is None:
                continue
            self.named[name] = digest
            for version in [name, *random.choices(list(self.named), k=5)]:  # noqa: S311
                promoted = self._send("POST", f"/models/{self.model_id}/aliases/champion", {"version": version, **SAID})
                if promoted is not None:
                    self.promoted[promoted["number"]] = version

    def _send(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401  # an answer's JSON
        """What was acknowledged; None if nothing was."""
        try:
            answer = self.api.ask(method, path, body)
        except urllib3.exceptions.HTTPError:
            answer = Answer(0, {}, b"")
            self._stop.wait(0.05)  # nobody is there: no use in asking a thousand times a second
        with self._lock:
            self.statuses[answer.status] += 1
            if answer.status not in (0, 200, 201, 503):
                self.strange.append(answer)
        return answer.json if answer.status in (200, 201) else None

    def check(self, folder: Path) -> None:
        """Everything acknowledged is there, whole; what was not is there whole or not at all; there is one champion."""
        assert self.strange == []
        for file in folder.glob("*.onnx"):
            assert hashlib.sha256(file.read_bytes()).hexdigest() == file.stem, "half a file has a whole file's name"
        versions = {version["name"]: version for version in self.api.pages(f"/models/{self.model_id}/versions")}
        assert self.named.items() <= {name: version["sha256"] for name, version in versions.items()}.items()
        for digest in self.uploaded | {version["sha256"] for version in versions.values()}:
            assert hashlib.sha256(self.api.ask("GET", f"/artefacts/{digest}").body).hexdigest() == digest
        log = self.api.pages(f"/models/{self.model_id}/promotions")[::-1]
        assert [line["number"] for line in log] == list(range(1, len(log) + 1))
        assert [line["from_version"] for line in log] == [None, *(line["to_version"] for line in log[:-1])]
        assert self.promoted.items() <= {line["number"]: line["to_version"] for line in log}.items()
        assert [name for name, version in versions.items() if version["aliases"]] == [log[-1]["to_version"]]
