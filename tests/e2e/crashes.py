"""The crash matrix of the asynchronous pattern: its processes, what is done to them, and what must hold afterwards."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Self

import pytest
import redis
from redis.exceptions import RedisError

from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.redis import connect_blocking
from mlsys.redis_server import RedisServer
from mlsys.testing import eventually

from .appended import NEVER_REWRITTEN, Written, written
from .cable import Cable, Way
from .queue_load import Load, Sample

PATTERN = "chapter4_serving_patterns.asynchronous_pattern"
STREAM, GROUP, WAITING, DEAD = "{jobs}:stream", "workers", "{jobs}:waiting", "{jobs}:dead"
RECORDS, PICTURES = "{jobs}:job:", "{jobs}:picture:"
LEASE_MS = 1500
SETTINGS = {
    "LEASE_MS": str(LEASE_MS),
    "MAX_ATTEMPTS": "20",  # a job is killed again and again here, and is no poison
    "MAX_QUEUE": "1000",
    "RESULT_TTL_S": "86400",
    "ACCESS_LOG": "false",
    "MODEL_NAME": "cifar10_small",
}


class Program:
    """One process of the pattern, killed and started again by the tests, as Compose or Kubernetes would."""

    def __init__(self, command: str, log: Path, environment: Mapping[str, str]) -> None:
        self._command = [sys.executable, "-m", *command.split()]
        self._environment = {"PYTHONPATH": str(ROOT), **os.environ, "TMPDIR": str(log.parent), **environment}
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self.process
        return self.process.pid

    def start(self) -> None:
        """Start it, and do not wait."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """As `kill -9` does."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def again(self) -> None:
        """Kill it, and start it anew."""
        assert self.process
        assert self.process.poll() is None, f"it had ended by itself: {self.log.read_text()[-3000:]}"
        self.kill()
        self.start()


class Stand:
    """An API, two workers, a model server and Redis, with a cable from each side to Redis; a context manager."""

    def __init__(self, folder: Path, models: Path) -> None:
        (configuration := folder / "appended.conf").write_text(NEVER_REWRITTEN)
        self.redis = RedisServer(folder / "redis", configuration=configuration)
        self.redis.start()
        self.api_cable, self.workers_cable = Cable(self.redis.port), Cable(self.redis.port)
        rest, rpc, self.port = free_port(), free_port(), free_port()
        served = {"MODELS": str(models / "cifar10_small"), "PORT": str(rest), "GRPC_PORT": str(rpc)}
        around = SETTINGS | {"MODEL_TARGET": f"127.0.0.1:{rpc}", "SAMPLE_PATH": str(models / "pictures" / "cat.png")}
        self.model_server = Program("mlsys.server", folder / "server.log", served | {"ACCESS_LOG": "false"})
        self.workers = [
            Program(f"{PATTERN}.worker", folder / f"worker-{number}.log", around | self._redis_over(self.workers_cable))
            for number in (1, 2)
        ]
        reached = {"PORT": str(self.port)} | self._redis_over(self.api_cable)
        self.api = Program(f"mlsys.serve {PATTERN}.app:create_app", folder / "api.log", around | reached)
        self.programs = [self.model_server, *self.workers, self.api]
        self.client = connect_blocking(self.redis.url())

    def __enter__(self) -> Self:
        self.api_cable.__enter__()
        self.workers_cable.__enter__()
        for program in self.programs:
            program.start()
        return self

    def __exit__(self, *_: object) -> None:
        for program in self.programs:
            program.kill()
        self.client.close()
        self.api_cable.__exit__()
        self.workers_cable.__exit__()
        self.redis.stop()

    def _redis_over(self, cable: Cable) -> dict[str, str]:
        return {"REDIS_URL": self.redis.url().replace(f":{self.redis.port}/", f":{cable.port}/")}

    def unfinished(self) -> int:
        """Jobs that wait or are worked on."""
        found: int = self.client.xlen(STREAM)
        return found

    def consumers(self) -> dict[bytes, int]:
        """How many jobs each consumer holds, by its name: workers, dead ones too, and who keeps what they returned."""
        try:
            consumers = self.client.xinfo_consumers(STREAM, GROUP)
        except redis.ResponseError:  # nobody has come yet
            return {}
        return {each["name"]: each["pending"] for each in consumers if each["pending"]}

    def holding(self) -> set[int]:
        """The ids of the worker processes that hold jobs, or held them when they died."""
        named = (re.search(rb"-(\d+)-[0-9a-f]+$", name) for name in self.consumers())
        return {int(found[1]) for found in named if found}

    def left(self) -> dict[str, int]:
        """What is still there of jobs that are not at their end; nothing of it may stay."""
        pending = sum(self.consumers().values())
        pictures = sum(1 for _ in self.client.scan_iter(match=f"{PICTURES}*", count=1000))
        found = {"in the stream": self.unfinished(), "leased": pending, "waiting": self.client.zcard(WAITING)}
        found |= {"pictures": pictures, "dead": self.client.xlen(DEAD)}
        return {what: number for what, number in found.items() if number}

    def history(self) -> Written:
        """What was written to the records of the jobs. Redis is stopped for it."""
        self.redis.stop()
        (file,) = self.redis.data.rglob("*.aof")
        return written(file, RECORDS)


Strike = Callable[[Stand, int, float], None]
"""Does it for the n-th time, at most so many seconds long, and mends it."""
_never = threading.Event()


def lasts(seconds: float) -> None:
    """Let something be as it is for so long."""
    _never.wait(seconds)


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process does nothing within this context."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def victim(stand: Stand, number: int) -> Program:
    """One worker and then the other, stopped while it holds jobs, if it does soon."""
    found = stand.workers[number % 2]
    with contextlib.suppress(AssertionError):  # it has just started, or there is nothing to do any more
        eventually(lambda: caught(stand, found.pid), deadline_s=2, every_s=0.001)
    return found


def caught(stand: Stand, pid: int) -> bool:
    """Whether the process holds jobs; then it is stopped, and cannot finish them meanwhile."""
    if pid in stand.holding():
        os.kill(pid, signal.SIGSTOP)
        if pid in stand.holding():
            return True
        os.kill(pid, signal.SIGCONT)
    return False


def worker_killed(stand: Stand, number: int, _: float) -> None:
    victim(stand, number).again()


def worker_paused(stand: Stand, number: int, seconds: float) -> None:
    with stopped(victim(stand, number).pid):  # its jobs go to the other; then it goes on as if nothing had been
        lasts(seconds)


def api_killed(stand: Stand, _: int, __: float) -> None:
    stand.api.again()


def model_server_killed(stand: Stand, _: int, __: float) -> None:
    stand.model_server.again()


def redis_stopped(stand: Stand, _: int, __: float) -> None:
    stand.redis.restart()


def redis_killed(stand: Stand, _: int, __: float) -> None:
    stand.redis.kill()
    stand.redis.start()


def redis_paused(stand: Stand, _: int, seconds: float) -> None:
    with stopped(stand.redis.pid):
        lasts(seconds)


WAYS: tuple[Way, Way] = ("silent", "reset")


def workers_cut_off(stand: Stand, number: int, seconds: float) -> None:
    with stand.workers_cable.cut(WAYS[number % 2]):
        lasts(seconds)


def api_cut_off(stand: Stand, number: int, seconds: float) -> None:
    with stand.api_cable.cut(WAYS[number % 2]):
        lasts(seconds)


CASES: dict[str, Strike] = {
    "kill -9 of a worker": worker_killed,
    "a worker paused": worker_paused,
    "kill -9 of the API": api_killed,
    "kill -9 of the model server": model_server_killed,
    "Redis stopped and started": redis_stopped,
    "kill -9 of Redis": redis_killed,
    "Redis paused": redis_paused,
    "network cut, workers to Redis": workers_cut_off,
    "network cut, API to Redis": api_cut_off,
}


def all_in_turn(stand: Stand, number: int, seconds: float) -> None:
    strikes = list(CASES.values())
    strikes[number % len(strikes)](stand, number // len(strikes), seconds)


class Row(NamedTuple):
    """What one case came to. redelivered: leases after a job's first one. left: what `Stand.left` found."""

    case: str
    jobs: int
    strikes: int
    redelivered: int
    lost: int
    wrong: int
    twice: int
    left: dict[str, int]
    seconds: float
    statuses: dict[int, int]

    def line(self) -> str:
        """A row of the README's table."""
        return (
            f"| {self.case} | {self.jobs:,} | {self.strikes} | {self.redelivered:,} | {self.lost} | {self.wrong} "
            f"| {self.twice} | {sum(self.left.values())} | {self.seconds:.0f} |"
        )


HEAD = (
    "| case | jobs | times | redelivered | lost | wrong | stored twice | stuck | seconds |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


class Plan(NamedTuple):
    """So many jobs and strikes, one strike in every so many seconds, each of which lasts at most so long."""

    jobs: int
    strikes: int
    every_s: float
    lasting_s: float
    within_s: float
    """Seconds until everything must have come to rest after the last strike."""


def survived(stand: Stand, case: str, strike: Strike, samples: list[Sample], plan: Plan) -> Row:
    """Enqueue jobs, strike in the middle of each part of them, and count what has become of all."""
    began = time.monotonic()
    with Load(stand.port, samples, plan.jobs) as load:
        for number in range(plan.strikes):
            ended = load.acknowledged
            load.allow((number + 1) * plan.jobs // plan.strikes)
            _at_work(stand, load, ended, plan.within_s)
            struck = time.monotonic()
            strike(stand, number, plan.lasting_s)
            lasts(plan.every_s - (time.monotonic() - struck))
        eventually(lambda: load.acknowledged + len(load.strange) >= plan.jobs, deadline_s=plan.within_s)
        with contextlib.suppress(AssertionError):  # the row says what is left
            eventually(lambda: not stand.left(), deadline_s=plan.within_s, every_s=0.1)
        seconds = time.monotonic() - began
        return _counted(stand, case, load, plan, seconds)


def _at_work(stand: Stand, load: Load, ended: int, within_s: float) -> None:
    """Wait until jobs of this part are acknowledged and workers hold some; or all of it is done already."""

    def at_work() -> bool:
        assert not load.strange, load.strange[:3]
        with contextlib.suppress(RedisError):
            return load.acknowledged > ended and bool(stand.holding() or (load.rests and not stand.unfinished()))
        return False

    eventually(at_work, deadline_s=within_s, every_s=0.001)


def _counted(stand: Stand, case: str, load: Load, plan: Plan, seconds: float) -> Row:
    answers, left, history = load.answers(), stand.left(), stand.history()
    stored = history.times("result")
    done = {number for number, answer in answers.items() if answer.get("state") == "done"}
    ids = set(load.ids.values())
    assert not load.strange, load.strange[:3]
    assert len(ids) == plan.jobs, "an Idempotency-Key stood for two jobs, or two for one"
    assert set(history.fields) == ids, "there are jobs that nobody was told of"
    assert not history.deleted, "the record of a job was deleted"
    return Row(
        case=case,
        jobs=plan.jobs,
        strikes=plan.strikes,
        redelivered=sum(answer["attempts"] - 1 for answer in answers.values() if answer),
        lost=plan.jobs - len(done),
        wrong=sum(not load.right(number, answers[number]) for number in done),
        twice=sum(stored[load.ids[number]] != 1 for number in done),
        left=left,
        seconds=seconds,
        statuses=dict(load.statuses),
    )


def errors_in(stand: Stand) -> list[str]:
    """Lines that no log may have, whatever is killed: an error with a trace is a mistake of ours."""
    found = []
    for program in stand.programs:
        found += [line for line in program.log.read_text(errors="replace").splitlines() if "Traceback" in line]
    return found


def check(row: Row, stand: Stand) -> None:
    """Nothing lost, nothing wrong, nothing twice, nothing stuck, and no process that was surprised."""
    assert (row.lost, row.wrong, row.twice, row.left) == (0, 0, 0, {}), row
    assert errors_in(stand) == []


@contextlib.contextmanager
def printed(config: pytest.Config, name: str) -> Iterator[list[Row]]:
    """Collects rows, and writes them as a table to the terminal, also when all tests pass."""
    rows: list[Row] = []
    yield rows
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("", HEAD, *(row.line() for row in rows), name, sep="\n")
