"""The demo, run against the real service."""

import re
from collections.abc import Callable

import pytest

from mlsys.testing import Server, run_demo

from ..settings import Settings

PACKAGE = "chapter4_serving_patterns.batch_pattern"

pytestmark = pytest.mark.e2e


def test_it_shows_that_a_killed_jobs_rows_are_done_once_by_others(
    serve: Callable[..., Server], settings: Settings
) -> None:
    around = {"DATABASE_URL": settings.database_url.get_secret_value(), "MODEL_PATH": str(settings.model_path)}
    server = serve(f"{PACKAGE}.app:create_app", **around, ACCESS_LOG="false")
    shown = run_demo(PACKAGE, server.url, **around)
    assert (shown.returncode, shown.stderr) == (0, "")
    for expected in (
        "kill -9 of one of the two",
        "400,000 rows were predicted and 40 quarantined",
        "count +0 rows more",
    ):
        assert expected in " ".join(shown.stdout.split())
    assert re.search(r"did [\d,]+( and [\d,]+)?, the killed one", " ".join(shown.stdout.split()))
