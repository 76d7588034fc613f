"""The demo, run against the real model server."""

import pytest

from mlsys.testing import run_demo

from .conftest import ModelServer

MODULE = "chapter4_serving_patterns.synchronous_pattern"

pytestmark = pytest.mark.e2e


def row(shown: str, name: str, cells: int) -> list[str]:
    """The cells behind the name of the table row that has so many."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if name in line]
    (found,) = [cells_[1:] for cells_ in rows if len(cells_) == cells + 1]
    return found


def test_a_deadline_bounds_the_threads_that_a_slow_model_holds(server: ModelServer) -> None:
    ran = run_demo(MODULE, f"http://{server.target('rest')}")
    assert (ran.returncode, ran.stderr) == (0, "")
    patient, brisk = (
        [int(cell) for cell in row(ran.stdout, name, 7)] for name in ("without a deadline", "deadline of 0.5 s")
    )
    assert max(patient) >= 38, "20 calls a second of 3 s each take all 40 threads"
    assert 8 <= max(brisk) <= 15, "20 calls a second of 0.5 s each take 10"
    assert patient[-1] <= 2
    assert brisk[-1] <= 2
    answered, gave_up, turned_away, longest = row(ran.stdout, "without a deadline", 4)
    assert gave_up == "0"
    assert int(turned_away) >= 20
    assert int(answered) + int(turned_away) == 240
    assert 2.9 < float(longest.removesuffix(" s")) < 5
    answered, gave_up, turned_away, longest = row(ran.stdout, "deadline of 0.5 s", 4)
    assert turned_away == "0"
    assert int(answered) + int(gave_up) == 240
    assert int(gave_up) >= 100
    assert float(longest.removesuffix(" s")) < 1
