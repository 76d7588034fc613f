"""The crash matrix of the asynchronous pattern with 10,000 jobs each, and with everything in turn.

The table of the pattern's README: `python -m pytest -m soak tests/soak/test_asynchronous_crashes.py`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.crashes import CASES, Plan, Row, Stand, all_in_turn, check, printed, survived
from tests.e2e.queue_load import Sample, samples

pytestmark = pytest.mark.soak

JOBS = 10_000
OFTEN = Plan(JOBS, strikes=20, every_s=2.0, lasting_s=0, within_s=600)
LONG = Plan(JOBS, strikes=4, every_s=12.0, lasting_s=10.0, within_s=600)
PLANS = {case: LONG if "paused" in case or "cut" in case else OFTEN for case in CASES}
EVERYTHING = "each of these in turn"


@pytest.fixture(scope="module")
def pictures(models: Path) -> list[Sample]:
    return samples(models / "cifar10_small" / "model.onnx")


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[list[Row]]:
    with printed(request.config, "crash matrix") as rows:
        yield rows


@pytest.mark.parametrize("case", [*CASES, EVERYTHING])
def test_every_acknowledged_job_of_ten_thousand_is_done_once_whatever_happens(
    case: str, tmp_path: Path, models: Path, pictures: list[Sample], rows: list[Row]
) -> None:
    plan = PLANS.get(case, Plan(JOBS, strikes=24, every_s=3.0, lasting_s=3.0, within_s=600))
    with Stand(tmp_path, models) as stand:
        row = survived(stand, case, CASES.get(case, all_in_turn), pictures, plan)
        rows.append(row)
        check(row, stand)
