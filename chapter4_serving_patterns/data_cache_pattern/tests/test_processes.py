"""The service as a process of its own: it refuses to start in one sentence, and the demo shows what it does."""

from collections.abc import Callable
from pathlib import Path

import pytest
from uvicorn.config import STARTUP_FAILURE

from mlsys.ports import free_port
from mlsys.redis_server import RedisServer
from mlsys.testing import Server, eventually, run_demo

from ..samples import SAMPLES

PACKAGE = "chapter4_serving_patterns.data_cache_pattern"
APP = f"{PACKAGE}.app:create_app"

pytestmark = pytest.mark.e2e
Start = Callable[..., Server]


def test_the_demo_shows_items_refusals_and_what_the_cache_saves(
    start: Start, redis_url: str, items: Path, model_target: str
) -> None:
    variables = {"REDIS_URL": redis_url, "SOURCE": str(items), "MODEL_TARGET": model_target, "CACHE_TIMEOUT_S": "5"}
    server = start(APP, **variables)
    eventually(server.is_ready, deadline_s=60)
    shown = run_demo(PACKAGE, server.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    for expected in (*SAMPLES, " 404 ", " 422 ", "made anew: p50 ", "from the cache: p50 ", "8 in one request: p50 "):
        assert expected in shown.stdout


def test_a_demo_of_a_cache_that_fills_with_nothing_says_so(
    start: Start, own_redis: RedisServer, items: Path, model_target: str
) -> None:
    variables = {"REDIS_URL": own_redis.url(), "SOURCE": str(items), "MODEL_TARGET": model_target}
    own_redis.stop()
    server = start(APP, **variables)
    eventually(server.is_ready, deadline_s=60)
    shown = run_demo(PACKAGE, server.url)
    assert shown.returncode == 1
    assert "were in the cache within 10 s: is Redis there? See /ready." in shown.stderr


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"REDIS_URL": ""}, "Cannot start: REDIS_URL is not set, and there is no default."),
        ({"REDIS_URL": "http://127.0.0.1"}, "Cannot start: REDIS_URL is not valid: it must be redis://"),
        ({"SOURCE": "nowhere", "SOURCE_WAIT_S": "0.1"}, "Cannot start: The source was not usable within 0.1 s: "),
    ],
)
def test_what_cannot_start_says_why_in_one_sentence(start: Start, variables: dict[str, str], sentence: str) -> None:
    known = {"REDIS_URL": "redis://127.0.0.1:1/0", "MODEL_TARGET": f"127.0.0.1:{free_port()}"}
    server = start(APP, **known | variables)
    assert server.process.wait(60) in (1, STARTUP_FAILURE)
    said = server.log.read_text()
    assert sentence in said
    assert "Traceback" not in said
