"""What the benchmark of the prediction cache computes from what was measured; the measuring itself is no test."""

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.load import Load
from benchmarks.prediction_cache import figures, report, services
from benchmarks.prediction_cache.figures import Stampede, Times, Traffic
from benchmarks.prediction_cache.report import Report
from chapter4_serving_patterns.prediction_cache_pattern.traffic import new_pictures, zipf


def made() -> Report:
    def three(value: float) -> list[Times]:
        return [Times(200, value * factor, 2 * value, value) for factor in (1, 2, 3)]

    def traffic(rate: float, ms: float) -> list[Traffic]:
        return [Traffic(Times(400, ms, 3 * ms, ms), rate, ms / 2, 100)] * 3

    return Report(
        machine={"cpu": "Abacus", "cores": "2", "kernel": "Linux 0", "date": "2026-01-01"},
        versions={"load": "wrk"},
        command="python",
        seconds=3,
        requests=400,
        count=3,
        item={"hit": three(0.5), "miss": three(8.0), "without": three(6.5)},
        traffic={
            10: {"cache": traffic(0.95, 1.0), "without": traffic(0, 6.5)},
            0: {"cache": traffic(0.0, 8.0), "without": traffic(0, 6.5)},
        },
        stampede={"single-flight": [Stampede(1, 20.0)] * 3, "no single-flight": [Stampede(100, 500.0)] * 3},
        hits={name: [Load(30_000, 3_000_000, 5000, 9000, 0, 0)] * 3 for name in ("cache", "cache × 2")},
    )


def test_the_break_even_is_where_hits_pay_for_what_misses_cost_more() -> None:
    rate = figures.break_even(0.5, 8.0, 6.5)
    assert rate * 0.5 + (1 - rate) * 8.0 == pytest.approx(6.5)
    assert figures.break_even(0.5, 6.0, 6.5) == 0
    assert figures.break_even(8.0, 8.0, 6.5) == float("inf")
    assert figures.break_even(7.0, 8.0, 6.5) > 1


def test_percentiles_are_those_of_what_was_measured() -> None:
    found = figures.times([float(number) for number in range(1, 102)])
    assert (found.n, found.p50_ms, found.p99_ms, found.mean_ms) == (101, 51, 100, 51)


def test_promises_are_compared_within_rounds_and_with_what_is_shipped() -> None:
    hits = {"cache × 2": 6500.0, "(cache + near) × 2": 9000.0}
    hit, rate = figures.targets([1.0, 1.0, 9.0], [10.0, 20.0, 90.0], hits)
    assert (hit.measured, hit.met) == (0.1, True)
    assert (rate.measured, rate.met, rate.text) == (6500.0, True, "hits a second on two cores (cache × 2)")


def test_the_page_has_all_tables_and_says_from_which_hit_rate_the_cache_gains() -> None:
    page = report.markdown(made())
    assert "the cache is faster from a hit rate of 20% on" in page
    assert "| hit | 1.00 | 1.00 | 0.50 |" in page
    assert "| each once | 0% | 8.00 | 6.50 | 24.00 | 19.50 | 4.00 | 3.25 |" in page
    assert "| no single-flight | 100 | 500 |" in page
    assert "| cache × 2 | 10,000 | 5.0 | 9.0 |" in page
    for variant in services.VARIANTS:
        assert variant.command in page


def test_page_figures_and_plot_are_written(tmp_path: Path) -> None:
    report.write(made(), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"prediction_cache.md", "prediction_cache.json", "prediction_cache.png"}
    assert json.loads((tmp_path / "prediction_cache.json").read_text())["traffic"]["10"]["cache"][0]["hit_rate"] == 0.95


def test_curves_go_from_the_lowest_to_the_highest_hit_rate() -> None:
    assert [point[0] for point in report.curves(made())["without"]] == [0.0, 0.95]


def test_popular_pictures_are_asked_for_more_and_no_two_are_alike() -> None:
    bodies = new_pictures(20)
    assert len(set(bodies)) == 20
    asked = Counter(zipf(bodies, 20_000))
    shares = [asked[body] / 20_000 for body in bodies[:2]]
    harmonic = sum(1 / rank for rank in range(1, 21))
    assert shares == pytest.approx([1 / harmonic, 0.5 / harmonic], abs=0.03)
