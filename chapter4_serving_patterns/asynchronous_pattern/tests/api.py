"""The API in this process, in one event loop, as it serves: with its connections and its subscription."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mlsys.edge import Message
from mlsys.redis import Redis, connect
from mlsys.testing import Answer, exchange

from ..app import create_app
from ..jobs import Jobs
from ..prediction import Prediction
from ..records import Lease
from ..settings import Settings

T = TypeVar("T")
JSON = {"content-type": "application/json"}
RESULT = Prediction(label="cat", probability=0.9, model="cifar10_large", version="0123456789ab")


class Stream:
    """A request for events that is being answered."""

    def __init__(self, api: "Api", job_id: str) -> None:
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._sent: list[Message] = []
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/job/{job_id}/events",
            "raw_path": b"",
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [],
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
        }
        self._incoming.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        self.task = asyncio.get_running_loop().create_task(api.app(scope, self._incoming.get, self._send))

    async def _send(self, message: Message) -> None:
        self._sent.append(message)

    @property
    def status(self) -> int:
        """Of the answer; 0 while there is none."""
        return self._sent[0]["status"] if self._sent else 0

    @property
    def text(self) -> str:
        """What has come so far."""
        return b"".join(message.get("body", b"") for message in self._sent[1:]).decode()

    def told(self) -> list[dict[str, Any]]:
        """The events so far: what each said of the job."""
        lines = [line for line in self.text.splitlines() if line.startswith("data: ")]
        return [next(iter(json.loads(line[6:]).values())) for line in lines]

    def states(self) -> list[str]:
        """The states so far."""
        return [told["state"] for told in self.told()]

    def leave(self) -> None:
        """Go away, as a browser that is closed."""
        self._incoming.put_nowait({"type": "http.disconnect"})


class Api:
    """The service, and what a worker would do: `jobs` is a second client of the same queue."""

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)
        self.redis: Redis = connect(settings.redis_url)
        self.jobs = Jobs(self.redis, settings.policy())
        self._runner = asyncio.Runner()
        self._serving = AsyncExitStack()

    def run(self, work: Coroutine[Any, Any, T], *, within_s: float = 60) -> T:
        """Let the loop turn until the work is done."""
        return self._runner.run(asyncio.wait_for(work, within_s))

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = JSON) -> Answer:
        """One request."""
        message = {"type": "http.request", "body": body, "more_body": False}
        return self.run(exchange(self.app, method, path, [message], {"content-length": str(len(body)), **headers}))

    def enqueued(self, picture: bytes = b"a picture", headers: Mapping[str, str] = JSON) -> str:
        """The id of a new job."""
        answer = self.ask("POST", "/predict", body_of(picture), headers)
        assert answer.status == 200, answer
        job_id: str = answer.json["job_id"]
        return job_id

    def state(self, job_id: str) -> dict[str, Any]:
        """What GET /job/{id} says of the job."""
        state: dict[str, Any] = self.ask("GET", f"/job/{job_id}").json[job_id]
        return state

    def leased(self, count: int = 1) -> list[Lease]:
        """What a worker gets."""
        return self.run(self.jobs.lease("host-1-0000", count))

    @contextmanager
    def serving(self) -> Iterator["Api"]:
        """From the start of the service to its end."""
        try:
            self.run(self.app.begin(self._serving))
            yield self
        finally:
            self.run(self._serving.aclose())
            self.run(self.redis.aclose())
            self._runner.close()


def body_of(picture: bytes) -> bytes:
    """A request's body."""
    return msgspec.json.encode({"image_data": picture})


def settings_of(url: str, cat: Path, **values: Any) -> Settings:  # noqa: ANN401  # whatever the fields take
    """Settings of a test."""
    return Settings(**{"redis_url": url, "sample_path": cat, "access_log": False, **values})


async def until(condition: Callable[[], object], *, within_s: float = 20) -> None:
    """Let the loop turn until the condition holds. Raises: TimeoutError."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  # it may hold for any reason
            await asyncio.sleep(0.01)
