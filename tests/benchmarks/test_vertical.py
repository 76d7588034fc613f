"""What the vertical chain's benchmark computes from what was measured; the measuring itself is no test."""

from pathlib import Path

from benchmarks.vertical import report
from benchmarks.vertical.bench import Cell, Sample
from benchmarks.vertical.deployments import PROCESSES, TARGETS
from benchmarks.vertical.report import Report

P50_US = {
    "outlier alone": 200,
    "prediction alone": 300,
    "decision alone": 100,
    "chain": 1500,
    "chain, an outlier": 600,
    "one process": 300,
    "one process, an outlier": 200,
}


def made() -> Report:
    rounds = {
        Cell(name, clients): [
            Sample(per_second=1e6 / p50_us * factor, p50_us=int(p50_us * factor), p99_us=9000, cpu_ms=p50_us / 1000)
            for factor in (1.0, 2.0, 3.0)
        ]
        for name, p50_us in P50_US.items()
        for clients in (1, 16)
    }
    machine = {"cpu": "Abacus", "cores": "2", "kernel": "Linux 0", "date": "2026-01-01"}
    return Report(machine, {"load": "wrk"}, "python", seconds=2, count=3, many=16, rounds=rounds)


def test_every_target_is_measured_here() -> None:
    assert [target.name for target in TARGETS] == list(P50_US)


def test_the_page_has_medians_and_what_chain_early_exit_and_split_cost() -> None:
    page = report.markdown(made())
    assert "| chain | 3.00 | 9.00 | 1,333 | 9.0 | 1.50 |" in page
    assert "own cost: p50 of one client 1.80 ms over the sum" in page  # in the median round: (1500 - 600) × 2
    assert "early exit against the whole chain: p50 × 0.40, throughput × 2.50." in page
    assert "split against one process: p50 × 5.00, throughput × 0.20, CPU × 5.00" in page
    for process in PROCESSES:
        assert process.command in page
    assert '"url": "http://127.0.0.1:{prediction}"}, {"name": "decision"' in page


def test_page_figures_and_plot_are_written(tmp_path: Path) -> None:
    report.write(made(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"vertical.md", "vertical.json", "vertical.png"}
