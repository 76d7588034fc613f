"""What a project carries: a wheel that is the same for the same code, and a lock of hashes without addresses."""

import re
import zipfile
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT

from .. import lock
from .. import wheel as wheels


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(tmp_path_factory.mktemp("vendor"))


def test_the_wheel_has_all_of_mlsys_and_nothing_else(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = (path for path in (ROOT / "mlsys").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert packed == {str(path.relative_to(ROOT)) for path in files}


def test_the_same_code_gives_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    again = wheels.build(tmp_path)
    assert (again.name, again.read_bytes()) == (wheel.name, wheel.read_bytes())


def test_the_lock_is_hashed_without_addresses_and_has_what_images_install(wheel: Path, tmp_path: Path) -> None:
    lock.write(tmp_path / "requirements", wheel, [])
    packages = (tmp_path / "requirements" / "packages.txt").read_text().splitlines()
    developing = (tmp_path / "requirements" / "developing.txt").read_text().splitlines()
    assert packages[0].startswith(f"./vendor/{wheel.name} --hash=sha256:")
    assert packages[1:] == (ROOT / "requirements" / "packages.txt").read_text().splitlines()[1:]
    assert all(re.fullmatch(r"\S+==[^ ;]+(;[^-]+)?( --hash=sha256:[0-9a-f]{64})+", line) for line in developing)
    assert not [line for line in packages + developing if "://" in line]


def test_what_a_package_needs_is_found_through_others() -> None:
    assert {"pytest", "pluggy", "iniconfig"} <= lock.closure(("pytest",))
