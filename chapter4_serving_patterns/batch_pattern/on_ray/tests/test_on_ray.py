"""The same predictions over files: what becomes of each row, what a second run does, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import dataset, parquet

from mlsys.catalogue import ROOT
from mlsys.errors import StartupError
from mlsys.model import Model

from ..files import Place, fingerprint
from ..outcomes import Outcomes

BAD = [None, '"a"', "[5.1, 3.5, 1.4]", "[5.1, 3.5, 1.4, 1e400]", "[5.1, 3.5,\n 1.4]", "", "[" * 2000]


@pytest.fixture(scope="session")
def model(models: Path) -> Model:
    return Model.load(models / "iris_svc" / "model.onnx")


def write(folder: Path, first: int, values: list[str | None]) -> None:
    folder.mkdir(exist_ok=True)
    ids = pa.array(range(first, first + len(values)), pa.int64())
    parquet.write_table(pa.table({"id": ids, "values": pa.array(values, pa.string())}), folder / f"{first}.parquet")


def flowers(count: int) -> list[str | None]:
    made = np.random.default_rng(1).uniform(0.1, 7, (count, 4)).round(1)
    return [json.dumps(row) for row in made.tolist()]


def test_each_row_becomes_the_models_own_answer_or_a_reason(model: Model) -> None:
    values = [*flowers(20), *BAD, "[5.1,\n3.5, 1.4, 0.2]"]
    outcomes = Outcomes(str(model.path))(pa.table({"id": range(len(values)), "values": pa.array(values, pa.string())}))
    found = {row["id"]: row for row in outcomes.to_pylist()}
    assert sorted(found) == list(range(len(values)))
    for place, text in enumerate(values):
        if text in BAD:
            assert found[place]["outcome"] == "quarantined"
            assert found[place]["reason"]
        else:
            expected = model.predict(np.array([json.loads(text or "")], np.float32))[0]
            np.testing.assert_allclose(found[place]["probabilities"], expected, rtol=1e-5, atol=1e-7)
            assert found[place]["label"] == model.metadata.labels[expected.argmax()]


def test_a_fingerprint_changes_with_the_files(model: Model, tmp_path: Path) -> None:
    place = Place.of("input", str(tmp_path / "items"))
    write(tmp_path / "items", 1, flowers(3))
    before = fingerprint(model, place.parquet())
    assert fingerprint(model, place.parquet()) == before
    write(tmp_path / "items", 4, flowers(1))
    assert fingerprint(model, place.parquet()) != before


def no_column(folder: Path) -> None:
    parquet.write_table(pa.table({"id": [1]}), folder / "items.parquet")


def numbers(folder: Path) -> None:
    parquet.write_table(pa.table({"id": [1], "values": [5.1]}), folder / "items.parquet")


def damaged(folder: Path) -> None:
    (folder / "items.parquet").write_bytes(b"PAR1 and no more")


def nothing(_: Path) -> None: ...


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (no_column, "must have a column values of text, and has none"),
        (numbers, "must have a column values of text, and has double"),
        (damaged, "is no Parquet file"),
        (nothing, "There are no .parquet files below"),
    ],
)
def test_an_input_that_cannot_be_read_is_refused_by_name(
    make: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    make(tmp_path)
    with pytest.raises(StartupError, match=said):
        Place.of("input", str(tmp_path)).parquet()


def test_what_is_no_place_is_refused() -> None:
    with pytest.raises(StartupError, match=r"^output=nowhere://x is no directory, and no URL of a bucket"):
        Place.of("output", "nowhere://x")


@pytest.mark.soak
def test_a_local_ray_predicts_all_files_once(model: Model, tmp_path: Path) -> None:
    good, source, target = flowers(30_000), tmp_path / "items", tmp_path / "out"
    write(source, 0, good[:20_000])
    write(source, 20_000, [*good[20_000:], *BAD])
    killed = target / fingerprint(model, Place.of("input", str(source)).parquet()) / "outcome=predicted"
    killed.mkdir(parents=True)
    shutil.copy(source / "0.parquet", killed)  # as a run that was killed leaves some of its files

    first = job(model, source, target)
    assert (first["predicted"], first["quarantined"]) == (30_000, len(BAD))
    written = dataset.dataset(str(first["folder"]), format="parquet", partitioning="hive").to_table().to_pylist()
    found = {row["id"]: row for row in written}
    assert len(written) == len(found) == 30_000 + len(BAD)
    expected = model.predict(np.array([json.loads(text or "") for text in good], np.float32))
    np.testing.assert_allclose([found[place]["probabilities"] for place in range(len(good))], expected, atol=1e-6)

    files = sorted((path, path.stat().st_mtime_ns) for path in target.rglob("*"))
    assert job(model, source, target)["seconds"] == first["seconds"]
    assert sorted((path, path.stat().st_mtime_ns) for path in target.rglob("*")) == files


def job(model: Model, source: Path, target: Path) -> dict[str, object]:
    """What a job says that it has done."""
    command = [sys.executable, "-m", "chapter4_serving_patterns.batch_pattern.on_ray", "--model", str(model.path)]
    done = subprocess.run(
        [*command, "--input", str(source), "--output", str(target)],
        cwd=ROOT,
        env=os.environ | {"LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found
