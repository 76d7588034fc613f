"""The pattern's processes for one model, started, paused and stopped."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psutil

from mlsys.redis import BlockingRedis, connect_blocking
from mlsys.redis_server import RedisServer

from ..process import Running

PATTERN = "chapter4_serving_patterns.asynchronous_pattern"
API_WORKERS = 2
WORKERS = 2
_MODEL_SERVER = {
    "MODELS": "{models}/{model}",
    "PORT": "{port}",
    "GRPC_PORT": "{port2}",
    "WORKERS": "1",
    "MODEL_THREADS": "2",
    "ACCESS_LOG": "false",
}
_QUEUE = {
    "REDIS_URL": "{redis}",
    "MAX_QUEUE": "1000000",
    "MODEL_TARGET": "127.0.0.1:{target}",
    "MODEL_NAME": "{model}",
    "SAMPLE_PATH": "{picture}",
}
_API = _QUEUE | {"PORT": "{port}", "WORKERS": str(API_WORKERS), "ACCESS_LOG": "false", "MAX_CONCURRENCY": "256"}
PROCESSES = {
    "model server": ("{python} -m mlsys.server", _MODEL_SERVER),
    "worker": (f"{{python}} -m {PATTERN}.worker", _QUEUE),
    "API": (f"{{python}} -m mlsys.serve {PATTERN}.app:create_app", _API),
}
"""Command and every variable of each. Names in braces are filled in when it is started."""


class Stack:
    """A model server, two workers, an API and a Redis that keeps its log as by `make run`; a context manager.

    Everything is paused but Redis, until `resume`.
    """

    def __init__(self, model: str, models: Path, picture: Path, scratch: Path) -> None:
        self.model = model
        self._scratch = scratch / model
        self._values = {"model": model, "models": str(models), "picture": str(picture)}
        self._redis = RedisServer(self._scratch / "redis")
        self._stack = ExitStack()
        self.processes: dict[str, list[Running]] = {}

    def __enter__(self) -> Self:
        """Start all, without waiting for them."""
        with ExitStack() as stack:
            stack.enter_context(self._redis)
            self.redis: BlockingRedis = stack.enter_context(connect_blocking(self._redis.url()))
            self._values["redis"] = self._redis.url()
            server = self._start(stack, "model server", 1)[0]
            self._values["target"] = str(server.ports[1])
            self._start(stack, "worker", WORKERS)
            self._start(stack, "API", 1)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def rpc_port(self) -> int:
        """Of the model server."""
        return self.processes["model server"][0].ports[1]

    @property
    def api(self) -> Running:
        """The API."""
        return self.processes["API"][0]

    def environment(self) -> dict[str, str]:
        """What a program needs that enqueues without the API."""
        return {name: value.format(**self._values) for name, value in _QUEUE.items()}

    def until_ready(self) -> None:
        """Wait until the API and the model server answer, and nothing starts any more."""
        for running in (self.api, self.processes["model server"][0]):
            running.until_ready()
        for running in self.everyone():
            running.until(running.at_rest)

    def everyone(self) -> list[Running]:
        """All processes, those who are asked first."""
        return [running for each in self.processes.values() for running in each]

    def pause(self, *names: str) -> None:
        """Stop the clocks of these, or of all; of those who ask first."""
        for name in reversed(names or tuple(self.processes)):
            for running in self.processes[name]:
                running.pause()

    def resume(self, *names: str) -> None:
        """Let these go on, or all."""
        for name in names or tuple(self.processes):
            for running in self.processes[name]:
                running.resume()

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time that each kind of process has used so far."""
        times = psutil.Process(self._redis.pid).cpu_times()
        used = {name: sum(each.cpu_seconds() for each in running) for name, running in self.processes.items()}
        return used | {"Redis": times.user + times.system}

    def _start(self, stack: ExitStack, name: str, count: int) -> list[Running]:
        started = self.processes.setdefault(name, [])
        command, environment = PROCESSES[name]
        for number in range(count):
            scratch = self._scratch / f"{name.replace(' ', '_')}-{number}"
            scratch.mkdir(parents=True)
            started.append(stack.enter_context(Running(name, command, environment, self._values, scratch)))
        return started
