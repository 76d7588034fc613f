"""A model file is left alone exactly as long as nothing changed that its bytes come from."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlsys import stamp
from mlsys.catalogue import ROOT

TRAINER = "chapter2_training.iris_sklearn_svc.train"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "some" / "model.onnx"
    stamp.save(path, b"content", TRAINER, 0.3)
    return path


def test_a_file_just_saved_is_unchanged(model: Path) -> None:
    assert model.read_bytes() == b"content"
    assert stamp.unchanged(model, TRAINER, 0.3)


def test_another_share_of_test_flowers_makes_it_stale_and_no_share_takes_the_files_own(model: Path) -> None:
    assert not stamp.unchanged(model, TRAINER, 0.2)
    assert stamp.unchanged(model, TRAINER, None)


def test_another_trainer_makes_it_stale(model: Path) -> None:
    assert not stamp.unchanged(model, "chapter2_training.iris_sklearn_rf.train", 0.3)


def test_a_file_that_is_missing_is_stale(model: Path) -> None:
    model.unlink()
    assert not stamp.unchanged(model, TRAINER, 0.3)


def test_a_file_that_was_damaged_is_stale(model: Path) -> None:
    model.write_bytes(b"conten")
    assert not stamp.unchanged(model, TRAINER, 0.3)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"test_size": 0.3', "\xff"])
def test_a_damaged_stamp_is_stale(model: Path, text: str) -> None:
    model.with_suffix(".stamp").write_text(text, encoding="latin-1")
    assert not stamp.unchanged(model, TRAINER, None)


@pytest.mark.parametrize("field", ["inputs", "python"])
def test_other_code_or_another_python_makes_it_stale(model: Path, field: str) -> None:
    path = model.with_suffix(".stamp")
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: "another"}))
    assert not stamp.unchanged(model, TRAINER, 0.3)


def test_a_saved_file_can_be_read_by_others_and_leaves_nothing_beside_it(model: Path) -> None:
    assert model.stat().st_mode & 0o444 == 0o444
    assert {path.name for path in model.parent.iterdir()} == {"model.onnx", "model.stamp"}


def test_a_save_that_fails_leaves_the_old_file_and_no_other(model: Path) -> None:
    model.with_suffix(".stamp").unlink()
    model.with_suffix(".stamp").mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError):
        stamp.save(model, b"new", TRAINER, 0.3)
    assert {path.name for path in model.parent.iterdir()} == {"model.onnx", "model.stamp"}


def test_the_sources_are_all_modules_that_building_a_model_loads() -> None:
    script = (
        "import sys; from mlsys import train; train.importlib.import_module(train.trainers()['iris_svc'])\n"
        "print(*(name.removeprefix('mlsys.') for name in sys.modules if name.startswith('mlsys.')))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE
    ).stdout.split()
    assert sorted({*loaded} - {"catalogue", "errors", "shipped", "stamp", "train"}) == sorted(stamp.SOURCES)
