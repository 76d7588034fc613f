"""The demo, run against the service with its real fast model."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mlsys import pictures
from mlsys.testing import Server, eventually, run_demo

from .conftest import ModelServer
from .standin import StandIn

PACKAGE = "chapter4_serving_patterns.sync_async_pattern"

pytestmark = pytest.mark.e2e


def test_it_shows_both_answers_and_what_cascades_are_worth_or_that_there_are_none(
    start: Callable[..., Server], small: ModelServer, queue: StandIn, models: Path
) -> None:
    other = run_demo(PACKAGE, queue.url)
    assert (other.returncode, other.stderr.count("\n")) == (1, 1)
    assert "is it the sync-async pattern?" in other.stderr

    queue.label = "ship"
    sample = str(models / "pictures" / "cat.png")
    server = start(
        f"{PACKAGE}.app:create_app",
        FAST_TARGET=small.target,
        QUEUE_URL=queue.url,
        SAMPLE_PATH=sample,
        FAST_TIMEOUT_S="9",
        QUEUE_TIMEOUT_S="5",
    )
    eventually(server.is_ready, deadline_s=60)
    shown = run_demo(PACKAGE, server.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    for expected in (*pictures.NAMES, " ship ", "Expected calibration error", ", chosen ", "cifar10_large always"):
        assert expected in shown.stdout
    assert "The plot is .run/cascade.png." in shown.stdout

    queue.status = 429
    refused = run_demo(PACKAGE, server.url)
    assert (refused.returncode, "full" in refused.stdout) == (1, True)
    assert refused.stderr.startswith("No better answer came")


def test_make_demo_installs_what_draws_the_plot_and_make_run_does_not() -> None:
    def categories(goal: str) -> list[str]:
        recipe = subprocess.check_output(["make", "--dry-run", goal], cwd=Path(__file__).parents[1], text=True)
        return next(line for line in recipe.splitlines() if "mk.bootstrap" in line).split()

    assert "tracking" in categories("demo"), "matplotlib is in that category"
    assert "tracking" not in categories("run")
