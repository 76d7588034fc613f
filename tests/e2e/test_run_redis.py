"""make run of a pattern whose settings have a Redis: it has the pattern's configuration, keeps its data, and goes."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlsys.processes import end_marked, marked
from mlsys.testing import eventually

from .house import STOPS, House, Terminal, nothing_left_of

pytestmark = pytest.mark.e2e
CLIENT = """
import os, time
import redis

client = redis.from_url(os.environ["REDIS_URL"])
print("begun", client.incr("runs"), client.config_get("maxmemory-policy")["maxmemory-policy"], flush=True)
time.sleep(60)
"""
FILES = {
    "settings.py": "class Settings:\n    redis_url: str\n",
    "client.py": CLIENT,
    "redis.conf": "maxmemory-policy allkeys-lru\n",
}


@pytest.fixture
def pattern(tmp_path: Path) -> Iterator[Path]:
    house = House(tmp_path)
    name = "web_single_pattern"
    command = f"job: SOME=thing python chapter4_serving_patterns/{name}/client.py HERE\n"
    directory = house.pattern(name, command, FILES)
    yield directory
    end_marked(str(directory), 0)


def begun(terminal: Terminal) -> tuple[int, str]:
    """Wait until the job runs; how many runs Redis has seen, and its policy."""
    found = eventually(lambda: re.search(r"begun (\d+) (\S+)", terminal.read()), deadline_s=20)
    assert found
    return int(found[1]), found[2]


@pytest.mark.parametrize("way", ["Ctrl-C", "closed terminal", "kill -9 of the launcher"])
def test_redis_is_gone_with_the_pattern_and_its_data_are_there_for_the_next_run(pattern: Path, way: str) -> None:
    terminal = Terminal(["make", "run"], pattern.parents[1])
    assert begun(terminal) == (1, "allkeys-lru")
    assert [process.name() for process in marked(str(pattern))].count("redis-server") == 1
    STOPS[way](terminal, pattern)
    terminal.ended()
    nothing_left_of(pattern)
    again = Terminal(["make", "run"], pattern.parents[1])
    assert begun(again)[0] == 2
    again.press_ctrl_c()
    again.ended()
    nothing_left_of(pattern)


def test_a_redis_that_dies_ends_the_run_and_is_named(pattern: Path) -> None:
    terminal = Terminal(["make", "run"], pattern.parents[1])
    begun(terminal)
    (server,) = [process for process in marked(str(pattern)) if process.name() == "redis-server"]
    server.kill()
    assert terminal.ended() != 0
    assert "Redis ended by itself; the rest was stopped." in terminal.shown
    nothing_left_of(pattern)


def test_a_redis_that_is_named_is_used_and_none_is_started(pattern: Path, redis_url: str) -> None:
    terminal = Terminal(["make", "run"], pattern.parents[1], REDIS_URL=redis_url)
    assert begun(terminal) == (1, "noeviction")
    assert not (pattern / ".run" / "redis").exists()
    terminal.press_ctrl_c()
    terminal.ended()
    nothing_left_of(pattern)
