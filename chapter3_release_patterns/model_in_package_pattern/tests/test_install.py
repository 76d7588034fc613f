"""Real pip, real environments: upgrade, downgrade, two versions side by side, and what pip itself refuses."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT
from mlsys.errors import StartupError
from mlsys.testing import eventually

from ..install import install
from ..releases import Release
from .conftest import NEW, OLD, PACKAGE, Environment

pytestmark = pytest.mark.e2e


def sha256(models: Path) -> str:
    return hashlib.sha256((models / "iris_svc" / "model.onnx").read_bytes()).hexdigest()


def served(environment: Environment) -> tuple[str, str]:
    """Version and sha256 of the one package that the environment's own Python opens."""
    done = environment.run("validate")
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.fullmatch(r"iris_svc: mlsys-model-iris-svc (\S+): ok, sha256 (\w{64})\n", done.stdout)
    assert found, done.stdout
    return found[1], found[2]


def test_a_wheel_is_installed_upgraded_and_downgraded_and_the_model_is_the_one_of_the_version(
    environment: Environment, wheels: dict[Release, Path], models: Path, trained_anew: Path
) -> None:
    shelf = ["--find-links", str(wheels[OLD].parent)]
    for release, folder in ((OLD, models), (NEW, trained_anew), (OLD, models)):
        done = environment.pip("install", *shelf, f"{release.distribution}=={release.version}")
        assert done.returncode == 0, done.stderr
        assert served(environment) == (release.version, sha256(folder))


def test_a_version_without_data_takes_any_and_an_upgrade_the_newest(
    environment: Environment, wheels: dict[Release, Path]
) -> None:
    shelf = ["--find-links", str(wheels[OLD].parent)]
    assert environment.pip("install", *shelf, "mlsys-model-iris-svc==1.1.1").returncode == 0
    assert served(environment)[0] == "1.1.1+iris.2026.11"
    assert environment.pip("install", *shelf, "--upgrade", "mlsys-model-iris-svc").returncode == 0
    assert served(environment)[0] == "1.2.0+iris.2026.12"


def test_a_hash_in_the_requirements_admits_that_wheel_alone(
    environment: Environment, wheels: dict[Release, Path], tmp_path: Path
) -> None:
    shelf = ["--find-links", str(wheels[OLD].parent), "--no-deps", "--require-hashes"]
    right = hashlib.sha256(wheels[OLD].read_bytes()).hexdigest()
    for digest, code in (("0" * 64, 1), (right, 0)):
        requirements = tmp_path / "requirements.txt"
        requirements.write_text(f"mlsys-model-iris-svc=={OLD.version} --hash=sha256:{digest}\n")
        assert environment.pip("install", *shelf, "-r", str(requirements)).returncode == code


def test_two_versions_live_in_two_environments_and_cannot_share_one(
    wheels: dict[Release, Path], models: Path, trained_anew: Path, tmp_path: Path
) -> None:
    a, b = Environment(tmp_path / "a"), Environment(tmp_path / "b")
    assert a.pip("install", str(wheels[OLD])).returncode == 0
    assert b.pip("install", str(wheels[NEW])).returncode == 0
    assert served(a) == (OLD.version, sha256(models))
    assert served(b) == (NEW.version, sha256(trained_anew))
    both = a.pip("install", str(wheels[OLD]), str(wheels[NEW]))
    assert both.returncode == 1
    assert "conflict" in both.stderr.lower()


def test_pip_refuses_a_package_whose_runtime_is_out_of_range(environment: Environment, tmp_path: Path) -> None:
    name = "mlsys_model_future-1.0.0"
    about, wheel = tmp_path / f"{name}.dist-info", tmp_path / f"{name}-py3-none-any.whl"
    about.mkdir()
    about.joinpath("METADATA").write_text(
        "Metadata-Version: 2.1\nName: mlsys-model-future\nVersion: 1.0.0\nRequires-Dist: onnxruntime>=99\n"
    )
    about.joinpath("WHEEL").write_text(
        "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    about.joinpath("RECORD").write_text("")
    subprocess.run([sys.executable, "-m", "zipfile", "-c", wheel.name, about.name], cwd=tmp_path, check=True)
    done = environment.pip("install", str(wheel))
    assert done.returncode == 1
    assert "onnxruntime>=99" in done.stderr


def test_validate_says_which_package_is_damaged_and_fails(
    environment: Environment, wheels: dict[Release, Path]
) -> None:
    empty = environment.run("validate")
    assert (empty.returncode, empty.stderr) == (1, "There is no model package in this environment.\n")
    assert environment.pip("install", str(wheels[OLD])).returncode == 0
    model = environment.site / "mlsys_model_iris_svc" / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    done = environment.run("validate")
    assert done.returncode == 1
    assert done.stdout.startswith(f"iris_svc: mlsys-model-iris-svc {OLD.version}: REFUSED: Model package ")
    assert "size_bytes 9264 and now has 9265 or more" in done.stdout
    assert environment.run("validate", str(wheels[NEW])).returncode == 0


def test_a_folder_gets_the_packages_of_the_release_and_loses_all_others(
    wheels: dict[Release, Path], tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "left_over.py").touch()
    install([wheels[NEW]], site)
    install([wheels[OLD]], site)
    assert {path.name for path in site.iterdir()} == {
        "mlsys_model_iris_svc",
        f"mlsys_model_iris_svc-{OLD.version}.dist-info",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_settings_of_pip_that_a_person_has_do_not_matter(
    wheels: dict[Release, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.conf").write_text("[install]\nuser = true\n")
    for name, value in (("USER", "1"), ("REQUIRE_HASHES", "1"), ("CONFIG_FILE", str(tmp_path / "pip.conf"))):
        monkeypatch.setenv(f"PIP_{name}", value)
    install([wheels[OLD]], tmp_path / "site")
    assert (tmp_path / "site" / "mlsys_model_iris_svc" / "model.onnx").exists()


def test_a_wheel_with_a_path_out_of_the_folder_is_refused(wheels: dict[Release, Path], tmp_path: Path) -> None:
    wheel = tmp_path / wheels[NEW].name
    wheel.write_bytes(wheels[NEW].read_bytes())
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("../../outside.py", "")
    with pytest.raises(StartupError, match="outside the target directory"):
        install([wheel], tmp_path / "site")
    assert [path.name for path in tmp_path.iterdir()] == [wheel.name]


def test_a_wheel_that_pip_cannot_install_leaves_the_folder_as_it_was(
    wheels: dict[Release, Path], tmp_path: Path
) -> None:
    site, broken = tmp_path / "site", tmp_path / wheels[NEW].name
    install([wheels[OLD]], site)
    broken.write_bytes(wheels[NEW].read_bytes()[:2000])
    with pytest.raises(StartupError, match=r"^pip could not install into .*: .+"):
        install([broken], site)
    assert (site / f"mlsys_model_iris_svc-{OLD.version}.dist-info").exists()


@pytest.mark.parametrize("step", ["building", "pip"])
def test_an_installation_that_is_killed_leaves_the_old_packages_and_the_next_one_succeeds(
    models: Path, wheels: dict[Release, Path], tmp_path: Path, step: str
) -> None:
    site, dist = tmp_path / "site", tmp_path / "dist"
    install([wheels[OLD]], site)
    program = [sys.executable, "-m", f"{PACKAGE}.install", "--models", str(models), "--site", str(site)]
    command = [*program, "--dist", str(dist), "iris_svc==1.3.0+iris.2026.12"]
    surroundings = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, cwd=ROOT, env=surroundings, start_new_session=True, stdout=subprocess.DEVNULL)
    began = {"building": "tmp*/project/pyproject.toml", "pip": ".site-*"}[step]
    eventually(lambda: list(tmp_path.glob(began)), deadline_s=30, every_s=0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert [path.name for path in site.glob("*.dist-info")] == [f"mlsys_model_iris_svc-{OLD.version}.dist-info"]
    subprocess.run(command, cwd=ROOT, env=surroundings, check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert [path.name for path in site.glob("*.dist-info")] == ["mlsys_model_iris_svc-1.3.0+iris.2026.12.dist-info"]
