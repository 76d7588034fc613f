import base64
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT
from mlsys.errors import ModelError, StartupError

from ..releases import RELEASES, Release
from ..wheel import build
from .conftest import OLD, PACKAGE


def files_of(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist()}


def test_the_wheel_is_named_for_model_version_and_data(wheels: dict[Release, Path]) -> None:
    assert wheels[OLD].name == "mlsys_model_iris_svc-1.1.1+iris.2026.11-py3-none-any.whl"


def test_the_wheel_holds_the_model_as_it_is_and_its_hash_and_no_code(
    wheels: dict[Release, Path], content: bytes
) -> None:
    files = files_of(wheels[OLD])
    assert files["model.onnx"] == content
    sha256 = hashlib.sha256(content)
    assert json.loads(files["model.json"]) == {
        "name": "iris_svc",
        "version": OLD.version,
        "sha256": sha256.hexdigest(),
        "size_bytes": len(content),
    }
    recorded = base64.urlsafe_b64encode(sha256.digest()).rstrip(b"=").decode()
    assert f"mlsys_model_iris_svc/model.onnx,sha256={recorded},{len(content)}" in files["RECORD"].decode()
    assert {name for name in files if name.endswith(".py")} == {"__init__.py"}
    assert files["__init__.py"].startswith(b'"""')
    assert files["__init__.py"].count(b"\n") == 1


def test_the_metadata_say_the_group_the_version_and_the_range_of_runtimes(wheels: dict[Release, Path]) -> None:
    files = files_of(wheels[OLD])
    assert files["entry_points.txt"].decode().split("\n")[:2] == ["[mlsys.models]", "iris_svc = mlsys_model_iris_svc"]
    about = message_from_bytes(files["METADATA"])
    assert (about["Name"], about["Version"]) == ("mlsys-model-iris-svc", OLD.version)
    assert about["Requires-Dist"].startswith("onnxruntime<2,>=1.")


def test_two_builds_in_two_processes_places_times_and_umasks_give_the_same_bytes(models: Path, tmp_path: Path) -> None:
    digests = []
    for number, umask in enumerate(("0022", "0077")):
        place = tmp_path / f"place{number}"
        shutil.copytree(models / "iris_svc", place / "models" / "iris_svc")
        command = f'umask {umask}; exec "$@"'
        program = [sys.executable, "-m", f"{PACKAGE}.wheel", "==".join(OLD), "--models", str(place / "models")]
        surroundings = os.environ | {"PYTHONHASHSEED": str(number), "TMPDIR": str(place)}
        subprocess.run(
            ["sh", "-c", command, "sh", *program, "--output", str(place / "dist")],
            cwd=ROOT,
            env=surroundings,
            check=True,
            timeout=60,
        )
        (wheel,) = (place / "dist").iterdir()
        digests.append(hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert len(set(digests)) == 1


def test_source_date_epoch_dates_the_files_of_the_wheel(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    with zipfile.ZipFile(build(OLD, models / "iris_svc" / "model.onnx", tmp_path)) as archive:
        assert {entry.date_time[:3] for entry in archive.infolist()} == {(2027, 1, 15)}


def test_a_build_that_fails_says_why(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(StartupError, match=r"of iris_svc could not be built: ValueError: .*'yesterday'"):
        build(OLD, models / "iris_svc" / "model.onnx", tmp_path / "dist")


@pytest.mark.parametrize("text", RELEASES)
def test_what_is_released_is_of_the_form_that_is_asked_for(text: str) -> None:
    assert "==".join(Release.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "iris_svc",
        "iris_svc==1.1.1",  # of which data?
        "iris_svc==1.1+iris.2026.11",
        "iris_svc==1.1.1.1+iris",
        "iris_svc==1.1.1rc1+iris",
        "iris_svc==1!1.1.1+iris",
        "iris_svc==1.1.1+iris.2026.01",  # packaging tools would write .1
        "iris_svc==01.1.1+iris",
        "iris_svc==1.1.1+iris-2026",
        "iris_svc==1.1.1+IRIS",
        "iris_svc==1.1.1+iris ",
        "iris_svc==1.1.1+iris\n",
        "iris_svc==v1.1.1+iris",
        "../iris_svc==1.1.1+iris",
        "iris-svc==1.1.1+iris",
        'iris"svc==1.1.1+iris',
        "Iris==1.1.1+iris",
        "iris__svc==1.1.1+iris",
        "ирис==1.1.1+iris",
        "a" * 10_000,
    ],
)
def test_a_release_of_another_form_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        StartupError, match=r"is no release of a model: write NAME==.*iris_svc==1\.1\.1\+iris"
    ) as refusal:
        Release.parse(text)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("junk", [pickle.dumps([1]), b"", b"PK\x03\x04"])
def test_what_is_no_model_becomes_no_wheel(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(junk)
    with pytest.raises(ModelError, match=r"model\.onnx cannot be used"):
        build(OLD, tmp_path / "model.onnx", tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


def test_a_file_that_says_it_is_another_model_becomes_no_wheel(models: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="says that it is iris_rf, not iris_svc"):
        build(OLD, models / "iris_rf" / "model.onnx", tmp_path)


def test_the_program_refuses_in_one_sentence() -> None:
    for argument, output, sentence in (
        ("iris_svc==1", ".", "'iris_svc==1' is no release"),
        ("none==1.0.0+x", ".", "no such file"),
        ("iris_svc==1.0.0+x", "/proc/nowhere", "/proc/nowhere"),
    ):
        command = [sys.executable, "-m", f"{PACKAGE}.wheel", argument, "--output", output]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        assert sentence in done.stderr
