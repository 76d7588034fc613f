"""`python -m mlsys.train` builds what is stale, says what it does, and refuses in one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlsys import shipped
from mlsys.catalogue import ROOT
from mlsys.model import Model
from mlsys.train import trainers


def command(*arguments: str, module: str = "mlsys.train") -> subprocess.CompletedProcess[str]:
    """Run the module as a person does, from the root."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, text=True, capture_output=True, timeout=60, check=False
    )


def test_a_built_model_is_told_in_one_line_with_seconds_and_its_main_metric(tmp_path: Path) -> None:
    result = command("iris_outlier", "--output", str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    shown = os.path.relpath(tmp_path / "iris_outlier" / "model.onnx", ROOT)
    assert result.stdout.startswith("iris_outlier: built in ")
    assert result.stdout.endswith(f" s, inlier_rate 0.956, {shown}\n")


def test_unchanged_models_are_left_alone_and_told_so(models: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in models.glob("*/model.onnx")}
    result = command("all", "--output", str(models))
    assert [line.partition(",")[0] for line in result.stdout.splitlines()] == [
        f"{name}: unchanged" for name in (*trainers(), *shipped.models())
    ]
    assert before == {path: path.stat().st_mtime_ns for path in models.glob("*/model.onnx")}


def test_finding_that_nothing_is_to_do_imports_no_library(models: Path) -> None:
    script = (
        "import sys; from mlsys import train\n"
        f"sys.argv = ['train', 'all', '--output', {str(models)!r}]; train.main()\n"
        "print({'numpy', 'sklearn', 'onnx', 'msgspec'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True)
    assert result.stdout.endswith("set()\n")


def test_building_imports_neither_tracking_nor_plots(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from mlsys import train\n"
        f"train.build('iris_outlier', Path({str(tmp_path)!r}), 0.3)\n"
        "print({'mlflow', 'matplotlib'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True)
    assert result.stdout == "set()\n"


def test_a_reader_who_leaves_early_neither_sees_a_traceback_nor_stops_the_work(tmp_path: Path) -> None:
    names = ["iris_outlier", "iris_perceptron", "iris_rf"]
    build = f"{sys.executable} -m mlsys.train {' '.join(names)} --output {tmp_path}"
    piped = ["bash", "-o", "pipefail", "-c", f"{build} | head -1"]
    result = subprocess.run(piped, cwd=ROOT, text=True, capture_output=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("iris_outlier: built in ")
    assert sorted(path.parent.name for path in tmp_path.glob("*/model.onnx")) == names


def test_a_share_given_once_is_kept_until_another_is_given(tmp_path: Path) -> None:
    path = tmp_path / "iris_outlier" / "model.onnx"
    shares = []
    for arguments in (["--test_size", "0.2"], [], ["--test_size", "0.4"]):
        command("iris_outlier", "--output", str(tmp_path), *arguments)
        shares.append(Model.load(path).metadata.parameters["test_size"])
    assert shares == [0.2, 0.2, 0.4]


@pytest.mark.parametrize("share", ["0", "1", "abc", "nan", "-0.3", "0.05", "0.51", "1e400", ""])
def test_a_share_that_cannot_be_is_refused_with_one_sentence(share: str) -> None:
    result = command("all", "--test_size", share)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"Argument --test_size: {share!r} is no share of flowers to test on: give a number from 0.1 to 0.5\n"
    )


def test_a_projects_own_command_refuses_in_the_same_way() -> None:
    result = command("--test_size", "abc", module="chapter2_training.iris_sklearn_outlier.train")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("Argument --test_size: 'abc' is no share of flowers")


def test_an_unknown_model_is_refused_with_the_list_of_the_right_ones() -> None:
    result = command("iris_svc", "iris_scv")
    assert (result.returncode, result.stdout) == (2, "")
    assert (
        result.stderr
        == f"There is no model 'iris_scv': give all, or any of {', '.join([*trainers(), *shipped.models()])}\n"
    )


def test_no_name_at_all_is_refused_with_one_sentence() -> None:
    result = command()
    assert (result.returncode, result.stderr) == (2, "The following arguments are required: NAME\n")


def test_a_folder_that_cannot_be_written_is_refused_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = command("iris_outlier", "--output", str(tmp_path / "file"))
    path = tmp_path / "file" / "iris_outlier" / "model.onnx"
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"Model {path} cannot be written (Not a directory): name a folder by --output.\n"


def test_without_its_packages_tracking_is_refused_with_one_sentence_and_building_works(
    tmp_path: Path,
) -> None:
    script = (
        "import sys; sys.modules['mlflow'] = None; from mlsys import train\n"  # None: as if it were not installed
        "sys.argv = ['train', 'iris_outlier', *sys.argv[1:]]; train.main()"
    )
    run = [sys.executable, "-c", script, "--output", str(tmp_path)]
    result = subprocess.run([*run, "--track"], cwd=ROOT, text=True, capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "Tracking needs mlflow: install the category `tracking`, as `make train` does.\n"
    assert subprocess.run(run, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode == 0


@pytest.mark.parametrize(
    ("url", "reason"),
    [("nowhere", "is not of the form http://host:port."), ("http://127.0.0.1:1", "does not answer: ")],
)
@pytest.mark.parametrize("module", ["mlsys.train", "chapter2_training.cifar10.train"])
def test_a_registry_that_cannot_be_used_is_told_in_one_sentence_before_anything_is_trained(
    tmp_path: Path, module: str, url: str, reason: str
) -> None:
    names = ["iris_outlier"] if module == "mlsys.train" else []
    result = command(*names, "--output", str(tmp_path), "--registry", url, module=module)
    assert (result.returncode, result.stdout) == (1, "")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
