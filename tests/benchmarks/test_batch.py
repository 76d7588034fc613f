"""What the benchmark of the batch pattern computes from what was measured, and that it measures at all."""

from pathlib import Path

import pytest

from benchmarks.batch import bench, report
from benchmarks.batch.figures import ONE, ROW_BY_ROW, SHARES, SMALL, TWO, Sample
from benchmarks.batch.report import Report

SECONDS = {"read": 2.0, "Python": 2.0, "model": 1.0, "write": 5.0}


def made() -> Report:
    speeds = {ONE: 120_000.0, TWO: 180_000.0, SMALL: 110_000.0, SHARES: 118_000.0, ROW_BY_ROW: 2000.0}
    rounds = {
        name: [Sample(speed * factor, 150.0, 9.0 / factor, SECONDS if name == SHARES else {}) for factor in (1, 1, 3)]
        for name, speed in speeds.items()
    }
    machine = {"cpu": "Abacus", "cores": "2", "kernel": "Linux 0", "date": "2026-01-01"}
    return Report(machine, {"load": "itself"}, "python", rows=1_000_000, seconds=5, count=3, rounds=rounds)


def test_targets_are_met_on_their_side_of_the_limit_only() -> None:
    found = [(round(target.measured, 2), target.met) for target in report.targets(made())]
    assert found == [(120_000.0, True), (150.0, True), (1.0, True), (1.5, False), (60.0, True)]


def test_the_page_has_medians_and_the_shares_of_the_time() -> None:
    page = report.markdown(made())
    assert "| one job | 120,000 | 9.0 | 150 |" in page
    assert "| write | 50% |" in page
    assert "3 rounds of 1,000,000 rows" in page


def test_page_figures_and_plot_are_written(tmp_path: Path) -> None:
    report.write(made(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"batch.md", "batch.json", "batch.png"}


@pytest.mark.e2e
def test_a_small_measurement_has_every_figure(models: Path, tmp_path: Path) -> None:
    with bench.Bench(models / "iris_svc" / "model.onnx", tmp_path, count=2000, seconds=1) as small:
        rounds = bench.measure(small, 1)
    assert all(samples[0].per_second > 0 for samples in rounds.values())
    assert sum(rounds[SHARES][0].seconds.values()) > 0
