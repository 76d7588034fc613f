"""The batch job for longer: killed twenty times in a run of a million rows."""

from pathlib import Path

import pytest

from mlsys.postgres import Postgres
from tests.e2e.test_batch_faults import Stand, killed_in_one_run

pytestmark = pytest.mark.soak


def test_a_job_killed_twenty_times_in_a_million_rows_does_each_row_once(own_postgres: Postgres, models: Path) -> None:
    with Stand(own_postgres.url(), models, 1_000_000, bad=100, chunk=10_000) as stand:
        killed_in_one_run(stand, kills=20)
