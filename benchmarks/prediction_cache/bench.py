"""Takes the figures: starts the processes, asks them one at a time, loads them."""

import http.client
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from chapter4_serving_patterns.prediction_cache_pattern.traffic import Caller, Reply, at_once, new_pictures
from mlsys.redis_server import RedisServer

from .. import load
from ..process import ROOT, Running
from . import services
from .figures import Stampede, Times, Traffic, times
from .services import Variant

CONFIGURATION = ROOT / "chapter4_serving_patterns" / "prediction_cache_pattern" / "redis.conf"
CALLS = "prediction_cache_model_calls_total"
ITEM = b'{"data": "0000"}'
TOGETHER = 100
CONNECTIONS = 64


class Bench:
    """A Redis, a model server, and every variant of the service, of which one at a time may run."""

    def __init__(self, stack: ExitStack, models: Path, variants: Sequence[Variant]) -> None:
        """Raises: RuntimeError if a process does not start."""
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(RedisServer(scratch / "redis", configuration=CONFIGURATION))
        self._redis = psutil.Process(redis.pid)
        values = services.values(models, scratch, redis.url())
        self._server = _started(stack, "server", services.SERVER, services.SERVER_ENVIRONMENT, values, scratch)
        values["server"] = str(self._server.ports[1])
        self._running = {}
        for variant in variants:
            self._running[variant.name] = one = _started(
                stack, variant.name, variant.command, variant.environment, values, scratch
            )
            for _ in range(50):  # each over a new connection, so that every worker has its share
                with _caller(one) as caller:
                    caller.ask("POST", "/predict", ITEM)
            one.until(one.at_rest)
            one.pause()

    @contextmanager
    def awake(self, variant: Variant) -> Iterator[Running]:
        """Let the variant run for the block."""
        running = self._running[variant.name]
        running.resume()
        try:
            yield running
        finally:
            running.pause()

    def item(self, variant: Variant, n: int, *, forget: bool) -> Times:
        """`n` predictions of one item, one after another; `forget`: it is invalidated before each."""
        with self.awake(variant) as running, _caller(running) as caller:
            caller.ask("POST", "/predict", ITEM)
            replies = []
            for _ in range(n):
                if forget:
                    _require([caller.ask("DELETE", "/cache/items/0000", token=services.TOKEN)], "200")
                replies.append(caller.ask("POST", "/predict", ITEM))
        expected = "bypass" if variant == services.WITHOUT else "miss" if forget else "hit"
        return times([reply.ms for reply in _require(replies, expected)])

    def traffic(self, variant: Variant, bodies: Sequence[bytes]) -> Traffic:
        """These requests, one after another."""
        with self.awake(variant) as running, _caller(running) as caller:
            calls, cpu = caller.metric(CALLS), self._cpu_seconds(running)
            replies = [caller.ask("POST", "/predict", body) for body in bodies]
            used = self._cpu_seconds(running) - cpu
            calls = caller.metric(CALLS) - calls
        n, hits = len(bodies), sum(reply.cache == "hit" for reply in replies)
        return Traffic(times([reply.ms for reply in replies]), hits / n, used * 1000 / n, int(calls))

    def stampede(self, variant: Variant) -> Stampede:
        """TOGETHER identical requests at once for what nobody has asked for before."""
        (body,) = new_pictures(1)
        with self.awake(variant) as running, _caller(running) as caller:
            before = caller.metric(CALLS)
            replies = at_once(f"127.0.0.1:{running.port}", body, TOGETHER)
            calls = caller.metric(CALLS) - before
        if len({reply.body for reply in replies}) != 1 or len(replies) != TOGETHER:
            raise RuntimeError(f"{variant.name}: {len(replies)} of {TOGETHER} requests were answered alike.")
        return Stampede(int(calls), max(reply.ms for reply in replies))

    def hits(self, variant: Variant, seconds: int) -> load.Load:
        """Hits of one item by CONNECTIONS callers, as fast as they are answered."""
        with self.awake(variant) as running, _caller(running) as caller:
            caller.ask("POST", "/predict", ITEM)
            _require([caller.ask("POST", "/predict", ITEM)], "hit")
            before = caller.metric(CALLS)
            found = load.run(
                load.command(str(running.port), "/predict", ITEM.decode(), seconds, connections=CONNECTIONS)
            )
            if (calls := caller.metric(CALLS) - before) > found.requests / 1000:
                raise RuntimeError(f"{variant.name}: of {found.requests} requests {calls:.0f} were no hits.")
        return found

    def _cpu_seconds(self, running: Running) -> float:
        redis = self._redis.cpu_times()
        return running.cpu_seconds() + self._server.cpu_seconds() + redis.user + redis.system


def _started(
    stack: ExitStack, name: str, command: str, environment: dict[str, str], values: dict[str, str], scratch: Path
) -> Running:
    folder = scratch / name.replace(" ", "_")
    folder.mkdir()
    running = stack.enter_context(Running(name, command, environment, values, folder))
    running.until(_ready(running.port))
    return running


def _ready(port: int) -> Callable[[], bool]:
    def ready() -> bool:
        with suppress(OSError, http.client.HTTPException), Caller(f"127.0.0.1:{port}") as caller:
            return caller.ask("GET", "/ready").cache == "200"
        return False

    return ready


def _caller(running: Running) -> Caller:
    return Caller(f"127.0.0.1:{running.port}")


def _require(replies: list[Reply], expected: str) -> list[Reply]:
    """Those that are what they had to be. Raises: RuntimeError if more than one in ten is not: Redis was slow once."""
    good = [reply for reply in replies if reply.cache == expected]
    if len(good) < 0.9 * len(replies):
        others = {reply.cache for reply in replies} - {expected}
        raise RuntimeError(f"{len(good)} of {len(replies)} requests were a {expected}, the others {others}.")
    return good
