"""The demo, run against a proxy in front of stand-ins."""

from collections.abc import Callable

import pytest

from mlsys.testing import Server, run_demo

from ..stand_in import StandIn

PACKAGE = "chapter4_serving_patterns.horizontal_microservice_pattern"

pytestmark = pytest.mark.e2e


def test_it_shows_what_each_policy_makes_of_each_fault(
    serve: Callable[..., Server], services: dict[str, StandIn]
) -> None:
    server = serve(f"{PACKAGE}.app:create_app", **{f"{name.upper()}_URL": one.url for name, one in services.items()})
    shown = run_demo(PACKAGE, server.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    for expected in ("setosa", "not_waited_for", "deadline_exceeded", "bad_gateway", "not_ready", " 502 ", " 504 "):
        assert expected in shown.stdout
