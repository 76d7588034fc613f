"""What the comparison of split and fused computes from what was measured; the measuring itself is no test."""

from pathlib import Path

import pytest

from benchmarks.prep_pred import report
from benchmarks.prep_pred.bench import Cell, Sample, require_agreement
from benchmarks.prep_pred.deployments import DEPLOYMENTS
from benchmarks.prep_pred.report import Report

SPEEDS = {"fused": 100.0, "fused × 2": 160.0, "split": 120.0}


def made() -> Report:
    rounds = {
        Cell(name, payload, clients): [
            Sample(
                speed * factor, int(1000 * speed), 9000, {"prep": 1.0, "pred": 2.0} if name == "split" else {name: 2.0}
            )
            for factor in (1.0, 2.0, 3.0)
        ]
        for name, speed in SPEEDS.items()
        for payload in ("small", "large")
        for clients in (1, 16)
    }
    machine = {"cpu": "Abacus", "cores": "2", "kernel": "Linux 0", "date": "2026-01-01"}
    sizes = {"small": 10, "large": 2000}
    return Report(machine, {"load": "wrk"}, "python", seconds=2, count=3, many=16, sizes=sizes, rounds=rounds)


def test_the_page_has_medians_for_each_payload_and_the_price_of_the_split() -> None:
    page = report.markdown(made())
    assert "## large (2,000 bytes)" in page
    assert "| split | 120.00 | 9.00 | 240 | 9.0 | 3.00 (prep 1.00 + pred 2.00) |" in page
    assert (
        "p50 of one client × 1.20, throughput × 1.20, CPU × 1.50; against two fused processes: throughput × 0.75"
        in page
    )
    for deployment in DEPLOYMENTS:
        assert all(process.command in page for process in deployment.processes)


def test_page_figures_and_plot_are_written(tmp_path: Path) -> None:
    report.write(made(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"prep_pred.md", "prep_pred.json", "prep_pred.png"}


def test_deployments_that_answer_otherwise_are_not_compared() -> None:
    require_agreement([{"small": [0.5, 0.5]}, {"small": [0.5, 0.5000001]}])
    with pytest.raises(RuntimeError, match="small is answered"):
        require_agreement([{"small": [0.5, 0.5]}, {"small": [0.4, 0.6]}])
