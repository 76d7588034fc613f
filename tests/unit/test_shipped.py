"""Shipped models are copied when they are what was committed, and nothing that a person trained is lost by it."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlsys import shipped
from mlsys.catalogue import ROOT


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A project with one shipped model, and its sum."""
    project = tmp_path / "chapter2_training" / "some_project"
    path = project / "pretrained" / "some_model" / "model.onnx"
    path.parent.mkdir(parents=True)
    for file in ("__init__.py", "train.py"):
        (project / file).touch()
    path.write_bytes(b"content")
    (path.parents[1] / "SHA256SUMS").write_text(f"{hashlib.sha256(b'content').hexdigest()}  some_model/model.onnx\n")
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "models" / "some_model" / "model.onnx"


def test_shipped_models_are_found_by_what_folders_hold(source: Path, tmp_path: Path) -> None:
    assert shipped.models(tmp_path) == {"some_model": source}


def test_a_missing_model_is_copied_and_then_left_alone(source: Path, model: Path) -> None:
    assert shipped.copy(source, model) == "copied from what is shipped"
    assert model.read_bytes() == b"content"
    before = model.stat().st_mtime_ns
    assert shipped.copy(source, model) == "unchanged"
    assert model.stat().st_mtime_ns == before


def test_an_old_or_damaged_copy_is_replaced(source: Path, model: Path) -> None:
    model.parent.mkdir(parents=True)
    model.write_bytes(b"contemt")
    assert shipped.copy(source, model) == "copied from what is shipped"
    assert model.read_bytes() == b"content"


def test_what_was_trained_here_is_kept_until_it_is_removed(source: Path, model: Path) -> None:
    shipped.keep(model, b"trained")
    assert shipped.copy(source, model).startswith("kept as trained here (remove models/some_model/ to")
    assert model.read_bytes() == b"trained"
    model.unlink()
    assert shipped.copy(source, model) == "copied from what is shipped"


def test_what_was_trained_here_and_then_damaged_is_replaced(source: Path, model: Path) -> None:
    shipped.keep(model, b"trained")
    model.write_bytes(b"trai")
    assert shipped.copy(source, model) == "copied from what is shipped"


def test_a_shipped_file_that_is_not_the_committed_one_is_refused_with_both_digests(source: Path, model: Path) -> None:
    source.write_bytes(b"other")
    other, content = (hashlib.sha256(text).hexdigest() for text in (b"other", b"content"))
    with pytest.raises(SystemExit, match=f"{source} has the sha256 {other} instead of {content}: restore it from git"):
        shipped.copy(source, model)
    assert not model.exists()


def test_what_the_repository_ships_has_its_sums_and_is_built_like_any_model(tmp_path: Path) -> None:
    for name in shipped.models():
        command = [sys.executable, "-m", "mlsys.train", name, "--output", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=60, check=True)
        shown = os.path.relpath(tmp_path / name / "model.onnx", ROOT)
        assert done.stdout == f"{name}: copied from what is shipped, {shown}\n"
