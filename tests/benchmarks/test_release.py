"""What the comparison of image, load and package computes from what was measured; the measuring itself is no test."""

import urllib.request
from pathlib import Path

import numpy as np

from benchmarks.release import models, report, shelf, ways
from benchmarks.release.report import Report, Sample
from mlsys.network import Network


def made(missing: str = "") -> Report:
    samples = [
        Sample(way, size, state, 1.0 * factor, size / 100 * factor, size * 2_000_000 if state == "cold" else 0)
        for way in ("load", "package")
        for size in (1, 101)
        for state in ("cold", "warm")
        for factor in (1, 2, 3)
    ]
    machine = {"cpu": "Abacus", "cores": "2", "kernel": "Linux 0", "date": "2026-01-01"}
    return Report(machine, {"ours": "Python"}, "python", 3, missing, {1: 0.1, 101: 0.2}, samples)


def test_the_page_has_medians_for_each_size_and_way_and_the_price_of_more_megabytes() -> None:
    page = report.markdown(made())
    assert "| 101 | package | 2.00 | 2.02 | 4.02 | 202.0 | 4.02 | 0.0 |" in page
    assert "- load: 2.02 s for 1 MB, and 2.00 s more for each 100 MB." in page
    assert "(1 MB 0.10 s, 101 MB 0.20 s)" in page


def test_an_image_that_could_not_be_measured_is_left_out_with_the_reason() -> None:
    assert "No engine answers." in report.markdown(made("No engine answers."))
    assert "image, by" not in report.markdown(made())


def test_page_figures_and_plot_are_written(tmp_path: Path) -> None:
    report.write(made(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"release.md", "release.json", "release.png"}


def test_a_generated_model_has_its_size_answers_and_is_another_for_another_seed(tmp_path: Path) -> None:
    digests = {models.generate(tmp_path / str(seed) / "model.onnx", 1, seed) for seed in (1, 2)}
    assert len(digests) == 2
    file = tmp_path / "1" / "model.onnx"
    assert 1.0 <= file.stat().st_size / models.MEGABYTE < 1.001
    network = Network.load(file)
    assert network.sha256 in digests
    (answer,) = network.run({"input": np.ones((2, 4), np.float32)})
    assert answer.shape == (2, 1)


def test_the_shelf_counts_the_bytes_of_what_it_sends_and_lets_models_be_cached(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(bytes(3_000_000))
    with shelf.serving(tmp_path) as server:
        for _ in range(2):
            with urllib.request.urlopen(f"{server.url}/a.whl", timeout=10) as answer:
                assert len(answer.read()) == 3_000_000
                assert "immutable" in answer.headers["Cache-Control"]
        assert server.sent == 6_000_000
        server.reset()
        assert server.sent == 0


def test_a_way_by_loader_and_one_by_pip_bring_the_model_and_go_back_to_the_one_before(tmp_path: Path) -> None:
    editions = []
    for patch in (1, 2):
        file = tmp_path / str(patch) / "generated" / "model.onnx"
        editions.append(ways.Edition("generated", f"1.0.{patch}+random", file, models.generate(file, 1, patch)))
    (folder := tmp_path / "shelf").mkdir()
    with shelf.serving(folder) as server:
        for way in (ways.Load(server, tmp_path), ways.Package(server, tmp_path)):
            for edition in editions:
                published, arrived = way.publish(edition), way.arrive(edition)
                assert 900_000 < published <= arrived < published + 2_000
            assert way.arrive(editions[0]) < 2_000, "the machine had it"
            there = [path.name for path in (tmp_path / "site").glob("*.dist-info")]
            assert there in ([], ["mlsys_model_generated-1.0.1+random.dist-info"]), "else the pattern would refuse it"
            way.fresh()
            assert way.arrive(editions[0]) > 900_000
    assert ways.run(["true"]) == ""
