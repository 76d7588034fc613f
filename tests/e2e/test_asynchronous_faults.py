"""The crash matrix of the asynchronous pattern with a few hundred jobs each: whatever is killed, paused or cut off,
every acknowledged job is done, once, with the model's answer, and nothing is left of it. tests/soak has the long one.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .crashes import CASES, Plan, Row, Stand, check, printed, survived
from .queue_load import Sample, samples

pytestmark = pytest.mark.e2e
KILLED = Plan(jobs=300, strikes=2, every_s=1.0, lasting_s=0, within_s=240)
LASTING = Plan(jobs=300, strikes=2, every_s=0, lasting_s=2.5, within_s=240)
"""Longer than a lease, and longer than clients wait for Redis."""


@pytest.fixture(scope="module")
def pictures(models: Path) -> list[Sample]:
    return samples(models / "cifar10_small" / "model.onnx")


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[list[Row]]:
    with printed(request.config, "crash matrix, small") as rows:
        yield rows


@pytest.mark.parametrize("case", CASES)
def test_every_acknowledged_job_is_done_once_whatever_happens(
    case: str, tmp_path: Path, models: Path, pictures: list[Sample], rows: list[Row]
) -> None:
    with Stand(tmp_path, models) as stand:
        row = survived(stand, case, CASES[case], pictures, LASTING if "paused" in case or "cut" in case else KILLED)
        rows.append(row)
        check(row, stand)
    if case in ("kill -9 of a worker", "a worker paused"):
        assert row.redelivered > 0, "no worker held a job when it was met: it proves nothing"
