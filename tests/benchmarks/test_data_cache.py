"""What the comparison of caches computes from what was measured; the measuring itself is no test."""

import json
from pathlib import Path

import pytest

from benchmarks.data_cache import report
from benchmarks.data_cache.report import Cell, Report, Sample
from benchmarks.data_cache.ways import BINARY, JSON, NONE, OURS, SIDES, WAYS, Kept, floats, pixels, require_same
from mlsys import pictures
from mlsys.redis import connect_blocking

READ_MS = {NONE.name: 4.0, JSON.name: 50.0, BINARY.name: 1.0, OURS.name: 0.5}


def made() -> Report:
    rounds = {
        Cell(name, side): [Sample(ms * factor, ms * factor / 2, ms / 4) for factor in (1.0, 3.0, 2.0)]
        for side in SIDES
        for name, ms in READ_MS.items()
    }
    machine = {"cpu": "Abacus", "cores": "2", "kernel": "Linux 0", "date": "2026-01-01"}
    sizes = {Cell(way.name, side): 1000 * side * bool(way.to_bytes) for way in WAYS for side in SIDES}
    return Report(machine, {"load": "Redis 0"}, "python", count=3, batch=8, sizes=sizes, rounds=rounds)


def test_the_page_has_medians_ratios_within_rounds_and_verdicts() -> None:
    page = report.markdown(made())
    assert f"| {JSON.name} | 224,000 | 100.000 | 50.000 | 12.500 | × 12.500 |" in page
    assert f"| {NONE.name} | – | 8.000 | 4.000 | – | × 1.000 |" in page
    assert "- met: JSON against the same floats in binary, times the milliseconds to read 224 × 224: 50.00" in page
    assert "- met: JSON against this pattern, times the milliseconds to read 224 × 224: 100.00 (at least 20)" in page
    assert "Abacus, 2 cores, Linux 0, 2026-01-01; 3 rounds." in page


def test_a_figure_that_is_not_met_is_said() -> None:
    slow = made()
    slow.rounds[Cell(BINARY.name, 224)] = slow.rounds[Cell(JSON.name, 224)]
    assert "- **missed**: JSON against the same floats in binary" in report.markdown(slow)


def test_page_figures_and_plot_are_written(tmp_path: Path) -> None:
    report.write(made(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"data_cache.md", "data_cache.json", "data_cache.png"}
    cells = json.loads((tmp_path / "data_cache.json").read_text())["cells"]
    assert len(cells) == len(WAYS) * len(SIDES)
    assert {"way", "side", "bytes", "rounds"} == set(cells[0])


def test_every_way_gives_back_what_it_was_given_in_the_size_it_is_said_to_have(redis_url: str, tmp_path: Path) -> None:
    file = tmp_path / "cat.png"
    file.write_bytes(pictures.content("cat"))
    with connect_blocking(redis_url) as redis:
        kept = {way.name: Kept(way, 32, file, redis) for way in WAYS}
        for each in kept.values():
            each.write()
        require_same(list(kept.values()))
    assert kept[NONE.name].size == 0
    assert kept[OURS.name].size == 32 * 32 * 3 + 23
    assert kept[BINARY.name].size == 32 * 32 * 3 * 4 + 27
    assert kept[JSON.name].size > 4 * kept[BINARY.name].size


def test_the_floats_are_the_pixels_scaled_by_channel(tmp_path: Path) -> None:
    file = tmp_path / "cat.png"
    file.write_bytes(pictures.content("cat"))
    found, expected = floats(file, 32), pixels(file, 32)
    assert (found.shape, str(found.dtype)) == ((1, 3, 32, 32), "float32")
    red = (expected[5, 7, 0] / 255 - 0.485) / 0.229
    assert found[0, 0, 5, 7] == pytest.approx(red, abs=1e-5)


def test_a_way_that_gives_something_else_is_not_measured(redis_url: str, tmp_path: Path) -> None:
    file = tmp_path / "cat.png"
    file.write_bytes(pictures.content("cat"))
    with connect_blocking(redis_url) as redis:
        kept = Kept(OURS, 32, file, redis)
        kept.tensor = kept.tensor[::-1]
        with pytest.raises(RuntimeError, match="gives another tensor back"):
            require_same([kept])
