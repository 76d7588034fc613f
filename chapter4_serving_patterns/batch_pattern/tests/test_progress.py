"""How far a run is, and the forecast of its end."""

from datetime import UTC, datetime, timedelta

import pytest

from ..progress import WINDOW_S, Progress

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BEGUN = Progress(
    run=1,
    version=1,
    retry="none",
    rows=1_000_000,
    started_at=NOW - timedelta(seconds=20),
    finished_at=None,
    now=NOW,
    chunks_left=99,
    predicted=10_000,
    quarantined=0,
    lately_chunks=1,
    lately=10_000,
    lately_s=0.0,
)


def test_a_first_chunk_is_measured_from_the_beginning_of_the_run() -> None:
    assert BEGUN.rows_per_s == pytest.approx(500)
    assert BEGUN.forecast == NOW + timedelta(seconds=990_000 / 500)


def test_a_run_that_lay_for_days_is_forecast_by_what_was_done_lately() -> None:
    taken_up = BEGUN._replace(started_at=NOW - timedelta(days=30))
    assert taken_up.rows_per_s == pytest.approx(10_000 / WINDOW_S)


def test_a_single_row_after_years_has_a_forecast_too() -> None:
    one = BEGUN._replace(started_at=NOW - timedelta(days=1000), rows=1_000_000_000, predicted=1, lately=1)
    assert one.forecast
    assert one.sentence().startswith("1 of 1,000,000,000 rows are done")


def test_several_chunks_are_measured_from_the_first_to_the_last() -> None:
    assert BEGUN._replace(lately_chunks=5, lately=50_000, lately_s=4.0).rows_per_s == pytest.approx(10_000)


def test_where_nobody_works_there_is_no_forecast() -> None:
    assert BEGUN._replace(lately_chunks=0, lately=0, lately_s=None).forecast is None


def test_a_finished_run_has_its_speed_over_all_its_time_and_nothing_left() -> None:
    finished = BEGUN._replace(chunks_left=0, finished_at=NOW, predicted=1_000_000)
    assert finished.rows_per_s == pytest.approx(50_000)
    assert (finished.remaining, finished.forecast) == (0, None)
