import hashlib
import json
import pickle
import shutil
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mlsys.errors import ModelError

from .. import packages
from .conftest import Site, forget


def refused(match: str) -> None:
    """The one package that is there is found, and not opened, for that reason."""
    (package,) = packages.find()
    with pytest.raises(ModelError, match=match) as refusal:
        package.open()
    assert f"Model package {package.distribution} {package.version} in {package.place} cannot be used" in str(
        refusal.value
    )


def test_without_a_model_package_none_is_found(site: Site) -> None:
    assert packages.find() == []


def test_every_installed_package_is_found_by_the_name_of_its_model_and_opened(site: Site, content: bytes) -> None:
    site.add("iris_svc", content, requires=("onnxruntime>=1.0", "numpy; extra == 'never'"))
    site.add("another", content, version="2.0.0+iris.2026.11")
    another, iris = packages.find()
    assert (another.name, another.distribution, another.version) == (
        "another",
        "mlsys-model-another",
        "2.0.0+iris.2026.11",
    )
    assert (iris.name, iris.place) == ("iris_svc", str(site.folder))
    assert iris.open().sha256 == hashlib.sha256(content).hexdigest()


def test_a_package_without_any_code_works(site: Site, content: bytes) -> None:
    files = site.add("iris_svc", content, code=None)
    assert not list(files.glob("*.py"))
    assert packages.find()[0].open().metadata


def test_a_package_with_code_of_its_own_works(site: Site, content: bytes) -> None:
    files = site.add("iris_svc", content, code="from .shape import SHAPE\n")
    (files / "shape.py").write_text("SHAPE = (1, 4)\n")
    assert packages.find()[0].open().metadata


def test_finding_imports_nothing(site: Site, content: bytes) -> None:
    site.add("iris_svc", content, code="raise RuntimeError('imported')")
    assert [package.name for package in packages.find()] == ["iris_svc"]
    assert "mlsys_model_iris_svc" not in sys.modules


def test_the_package_that_comes_first_on_the_path_is_the_one_that_is_opened(
    site: Site, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("iris_svc", b"never read", version="1.0.0+test")
    before = Site(tmp_path / "before")
    before.add("iris_svc", content, version="2.0.0+test")
    monkeypatch.syspath_prepend(str(before.folder))
    (package,) = packages.find()
    assert package.version == "2.0.0+test"
    assert package.open().sha256 == hashlib.sha256(content).hexdigest()


def test_a_place_can_be_searched_alone(site: Site, content: bytes, tmp_path: Path) -> None:
    site.add("iris_svc", content, distribution="acme-flowers")
    place = Site(tmp_path / "place")
    place.add("iris_svc", content, version="2.0.0+test")
    assert [package.version for package in packages.find(place.folder)] == ["2.0.0+test"]


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (
        lambda files: (files / "model.onnx").write_bytes(flipped((files / "model.onnx").read_bytes())),
        "was built with the sha256 .* and now has",
    ),
    "a truncated model": (
        lambda files: (files / "model.onnx").write_bytes((files / "model.onnx").read_bytes()[:-1]),
        r"was built with the size_bytes 9264 and now has 9263\.",
    ),
    "no model": (lambda files: (files / "model.onnx").unlink(), r"its model\.onnx cannot be read \(no such file"),
    "no claim": (lambda files: (files / "model.json").unlink(), r"its model\.json cannot be read \(no such file"),
    "a claim that is no JSON": (lambda files: (files / "model.json").write_text("{"), "is not what the build writes"),
    "a claim of other fields": (
        lambda files: (files / "model.json").write_text('{"sha512": ""}'),
        "is not what the build writes",
    ),
    "the claim of another model": (
        lambda files: (files / "model.json").write_text((files / "model.json").read_text().replace("svc", "rf")),
        "was built with the name iris_rf and now has iris_svc",
    ),
    "a folder in the model's place": (
        lambda files: replace_by_folder(files / "model.onnx"),
        r"its model\.onnx cannot be read \(is a directory\)",
    ),
}


def replace_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_package_is_refused_by_name_with_the_reason(
    site: Site, content: bytes, damage: Callable[[Path], object], reason: str
) -> None:
    damage(site.add("iris_svc", content))
    refused(reason)


@pytest.mark.parametrize("junk", [pickle.dumps({"a": 1}), b"PK\x03\x04" + bytes(100), b"\x0a\xff", b""])
def test_what_is_no_model_is_refused_though_its_hash_is_right(site: Site, junk: bytes) -> None:
    site.add("iris_svc", junk)
    refused("cannot be used: ")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('no licence\\nsecond line')", r"\(RuntimeError: no licence\)"),
        ("raise SystemExit('leave')", r"\(SystemExit: leave\)"),
        ("import a_library_that_is_not_here", r"\(ModuleNotFoundError: No module named 'a_library_that_is_not_here'\)"),
        ("def broken(", r"\(SyntaxError: "),
    ],
)
def test_a_package_whose_import_fails_is_refused_with_what_it_said(
    site: Site, content: bytes, code: str, reason: str
) -> None:
    site.add("iris_svc", content, code=code)
    refused(f"its entry point iris_svc = mlsys_model_iris_svc cannot be imported {reason}")


@pytest.mark.parametrize("entry", ["nowhere", "mlsys_model_iris_svc:__doc__", "mlsys_model_iris_svc:none", "5 + 5"])
def test_an_entry_point_that_names_no_package_is_refused(site: Site, content: bytes, entry: str) -> None:
    site.add("iris_svc", content, entry=entry)
    refused("cannot be imported")


@pytest.mark.parametrize(
    ("requirement", "reason"),
    [
        ("onnxruntime>=99", r"it needs onnxruntime>=99, and \d+\.\d+\.\d+ is installed"),
        ("onnxruntime<1.0", r"it needs onnxruntime<1\.0, and"),
        ("no-such-runtime>=1", r"it needs no-such-runtime>=1, which is not installed"),
        ("onnxruntime>=>1", r"its requirement 'onnxruntime>=>1' is none"),
        ("onnxruntime; python_version ~= 'x'", r"its requirement .* is none"),
    ],
)
def test_a_runtime_out_of_the_packages_range_is_refused_though_pip_never_looked(
    site: Site, content: bytes, requirement: str, reason: str
) -> None:
    site.add("iris_svc", content, requires=(requirement,))
    refused(reason)


def test_two_packages_of_the_same_model_are_refused_by_both_names(site: Site, content: bytes) -> None:
    site.add("iris_svc", content)
    site.add("iris_svc", content, distribution="acme-flowers")
    with pytest.raises(ModelError, match=r"Model iris_svc is in two packages, .*: uninstall one of them"):
        packages.find()


def test_two_packages_that_overwrote_each_others_files_are_refused(site: Site, content: bytes) -> None:
    site.add("iris_svc", content)
    overwritten = site.add("another", flipped(content), distribution="acme-flowers", entry="mlsys_model_iris_svc")
    assert overwritten.name == "acme_flowers"
    another, _ = packages.find()
    with pytest.raises(ModelError, match="built with the name iris_svc and now has another"):
        another.open()


def test_two_versions_in_one_place_are_what_a_killed_pip_leaves_and_are_refused(site: Site, content: bytes) -> None:
    site.add("iris_svc", content, version="1.0.0+test")
    site.add("iris_svc", content, version="1.1.0+test")
    with pytest.raises(ModelError, match=r"has .* of mlsys-model-iris-svc, as a killed pip leaves it"):
        packages.find()


def test_one_package_that_announces_a_model_twice_is_refused(site: Site, content: bytes) -> None:
    site.add("iris_svc", content)
    announced = next(site.folder.glob("*.dist-info/entry_points.txt"))
    announced.write_text(announced.read_text() + "iris_svc = elsewhere\n")
    with pytest.raises(ModelError, match=r"has 1\.0\.0\+test \(mlsys_model_iris_svc\) and 1\.0\.0\+test \(elsewhere\)"):
        packages.find()


def test_the_files_of_one_version_under_the_metadata_of_another_are_refused(site: Site, content: bytes) -> None:
    site.add("iris_svc", content, version="1.0.0+test")
    site.add("iris_svc", content, version="1.1.0+test")
    shutil.rmtree(site.folder / "mlsys_model_iris_svc-1.1.0+test.dist-info")
    refused(r"was built with the version 1\.1\.0\+test and now has 1\.0\.0\+test")


@pytest.mark.parametrize(
    "text", [None, b"", b"Name: x\n", b"Version: 1\n", b"Name: x\nVersion: ../../1\n", b"Name: \xff\nVersion: 1\n"]
)
def test_a_package_that_lost_its_metadata_is_refused(site: Site, content: bytes, text: bytes | None) -> None:
    site.add("iris_svc", content)
    lost = next(site.folder.glob("*.dist-info/METADATA"))
    lost.write_bytes(text) if text is not None else lost.unlink()
    with pytest.raises(ModelError, match="has a model package whose METADATA are missing or damaged: make it anew"):
        packages.find()


def test_a_zip_bomb_in_a_wheel_stays_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path / "site")
    site.add("iris_svc", b"small")
    wheel = tmp_path / "bomb-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (path for path in site.folder.rglob("*") if path.is_file()):
            content = bytes(200_000_000) if file.name == "model.onnx" else file.read_bytes()
            archive.writestr(str(file.relative_to(site.folder)), content)
    monkeypatch.syspath_prepend(str(wheel))
    tracemalloc.start()
    refused("was built with the size_bytes 5 and now has 6 or more")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    forget()


@pytest.mark.parametrize("name", ["a/b", "..", "ирис", "a b", "a" * 10_000, "-a", "'; DROP TABLE models; --"])
def test_a_name_that_no_path_can_address_is_refused(site: Site, content: bytes, name: str) -> None:
    site.add(name, content, distribution="acme-flowers")
    with pytest.raises(ModelError, match=r"has acme-flowers that offers .*, which is no name") as refusal:
        packages.find()
    assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize("lines", [b"[mlsys.models]\nno equals sign\n", b"\xff\xfe[mlsys.models]\n"])
def test_entry_points_that_cannot_be_read_are_refused_by_the_distributions_name(
    site: Site, content: bytes, lines: bytes
) -> None:
    site.add("iris_svc", content)
    next(site.folder.glob("*.dist-info/entry_points.txt")).write_bytes(lines)
    with pytest.raises(ModelError, match=r"The entry points of mlsys-model-iris-svc in .* cannot be read"):
        packages.find()


def test_a_package_is_read_out_of_a_wheel_as_it_is(wheels: dict[object, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = next(iter(wheels.values()))
    monkeypatch.syspath_prepend(str(wheel))
    (package,) = packages.find()
    assert package.place == str(wheel)
    assert package.open().metadata
    forget()


@pytest.mark.parametrize("at", [70, 200, 1000, 2000, 3000])
def test_a_wheel_that_was_damaged_on_its_way_is_refused(
    wheels: dict[object, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    original = next(iter(wheels.values()))
    with zipfile.ZipFile(original) as archive:
        begins = archive.getinfo("mlsys_model_iris_svc/model.onnx").header_offset + at
    wheel = tmp_path / original.name
    whole = original.read_bytes()
    wheel.write_bytes(whole[:begins] + bytes([whole[begins] ^ 0xFF]) + whole[begins + 1 :])
    monkeypatch.syspath_prepend(str(wheel))
    refused(r"its model\.onnx cannot be read")
    forget()


def test_a_claim_is_what_a_person_can_check_with_sha256sum(site: Site, content: bytes) -> None:
    claim = json.loads((site.add("iris_svc", content) / "model.json").read_text())
    assert packages.find()[0].open().sha256 == claim["sha256"] == hashlib.sha256(content).hexdigest()
