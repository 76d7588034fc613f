"""What the comparison of proxies and policies computes from what was measured; the measuring itself is no test."""

import json
from pathlib import Path

import numpy as np

from benchmarks.horizontal import report
from benchmarks.horizontal.bench import Sample, Tail
from benchmarks.horizontal.processes import ALL, BARE, DEADLINE, HTTPX, OURS, PROXIES, SERVICES, SLOW, TAIL
from benchmarks.horizontal.report import Report, Round
from mlsys.iris import LABELS


def made(*, per_second: float = 2000.0) -> Report:
    random = np.random.default_rng(0)
    rounds = [
        Round(
            services={"setosa": 150, "versicolor": 160, "virginica": int(200 * factor)},
            proxies={
                OURS.name: Sample(int(1200 * factor), per_second / factor, 9000),
                HTTPX.name: Sample(3000, 400 / factor, 99000),
                BARE.name: Sample(1000, 2500 / factor, 8000),
            },
            tails={
                one.name: Tail([*random.uniform(1, 2, 90).tolist(), *[200.0] * 10], 0.9 if one is DEADLINE else 1.0)
                for one in TAIL
            },
        )
        for factor in (1.0, 2.0, 0.5)
    ]
    machine = {"cpu": "Abacus", "cores": "2", "kernel": "Linux 0", "date": "2026-01-01"}
    return Report(machine, {"load": "wrk"}, "python", seconds=2, requests=100, many=32, rounds=rounds)


def test_the_proxys_cost_is_over_the_slowest_service_of_the_same_round() -> None:
    page = report.markdown(made())
    assert "- met: the proxy's p50 over that of its slowest service, one client (ms): 1.00 (at most 1.2)" in page
    assert f"| {OURS.name} | 1.20 | 1.00 | 2,000 | 9.0 |" in page
    assert "Throughput: × 5.00 of that with httpx, × 0.80 of that of bare aiohttp." in page


def test_a_figure_that_is_not_met_is_said() -> None:
    page = report.markdown(made(per_second=1000.0))
    assert "- **missed**: requests a second, 32 connections, all on this machine: 1000.00 (at least 1800)" in page


def test_each_way_to_cut_the_tail_says_what_it_costs_in_answers() -> None:
    page = report.markdown(made())
    (shown,) = [line for line in page.splitlines() if line.startswith(f"| {DEADLINE.name} ")]
    assert shown.endswith(" 200.0 | 90.0% |")
    assert f"| {ALL.name} | " in page
    assert all(f"- {one.name}: `" in page for one in (*SERVICES, *SLOW, *PROXIES, *TAIL))


def test_page_figures_and_plot_are_written(tmp_path: Path) -> None:
    report.write(made(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"horizontal.md", "horizontal.json", "horizontal.png"}
    rounds = json.loads((tmp_path / "horizontal.json").read_text())["rounds"]
    assert set(rounds[0]["services"]) == set(LABELS)
    assert len(rounds[0]["tails"][ALL.name]["ms"]) == 100
