"""The whole command on generated pictures: once through, then nothing to do, and refusals in one sentence."""

import contextlib
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from chapter2_training.cifar10 import card, page, pipeline, publish, ship, train
from chapter2_training.cifar10.recipe import RECIPES
from mlsys.catalogue import ROOT
from mlsys.errors import StartupError
from mlsys.model import Model

# 2026-11-21: MLflow 3.17 asks SQLAlchemy 2.1 for a strategy that this calls deprecated, when it makes its database.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning")
MODULE = "chapter2_training.cifar10.train"


QUICK = ("--model_type", "cifar10_small", "--epochs", "4", "--batch_size", "20", "--learning_rate", "0.1")


class Done(NamedTuple):
    """Where the command was run, and what it said."""

    folder: Path
    said: list[str]

    @property
    def places(self) -> tuple[str, ...]:
        return "--work", str(self.folder / "work"), "--output", str(self.folder / "models"), "--num_workers", "1"


@pytest.fixture(scope="module")
def trained(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """The command, once through, in this process: to import and to make MLflow's database takes longest of all."""
    done = Done(tmp_path_factory.mktemp("trained"), [])
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{done.folder}/mlflow.db")
        patch.setenv("CIFAR10_DATA", str(source))
        train.main([*QUICK, *done.places])
        done.said.extend(said.getvalue().splitlines())
        yield done


@pytest.fixture
def asked(source: Path, trained: Done) -> pipeline.Run:
    """The same run, to look at its steps."""
    recipe = replace(RECIPES["cifar10_small"], epochs=4, batch_size=20, learning_rate=0.1)
    return pipeline.Run(
        model_type="cifar10_small",
        recipe=recipe,
        data=source,
        validation=0.1,
        num_workers=1,
        work=trained.folder / "work",
        say=lambda _: None,
    )


def test_the_command_goes_through_all_steps_and_says_so(trained: Done) -> None:
    assert [line.split(":")[0].strip() for line in trained.said[:9]] == [
        "preprocess",
        *(f"epoch {number}/4" for number in range(1, 5)),
        "train-cifar10_small",
        "building-cifar10_small",
        "evaluate-cifar10_small",
        "cifar10_small",
    ]
    assert trained.said[-1].startswith("  MLflow run ")


def test_the_files_are_models_that_know_the_colours(trained: Done) -> None:
    for name in ("cifar10_small", "cifar10_small_int8"):
        model = Model.load(trained.folder / "models" / name / "model.onnx")
        assert model.metadata.metrics["accuracy"] > 0.8
        assert {"recall_cat", "expected_calibration_error", "log_loss"} <= set(model.metadata.metrics)
        assert model.metadata.parameters["model_type"] == "cifar10_small"
        assert model.metadata.trainer == MODULE


def test_with_the_same_inputs_nothing_is_done_again_and_the_files_are_the_same(
    trained: Done, asked: pipeline.Run, tmp_path: Path
) -> None:
    said: list[str] = []
    released = publish.publish(replace(asked, say=said.append), tmp_path / "models", tmp_path / "img")
    assert [line for line in said if "unchanged" in line] == said[:4]
    for name, path in released.files.items():
        assert path.read_bytes() == (trained.folder / "models" / name / "model.onnx").read_bytes()
    assert sorted(path.name for path in (tmp_path / "img").iterdir()) == [
        f"cifar10_small_{picture}.png" for picture in ("calibration", "confusion", "learning")
    ]


def test_what_was_trained_stays_when_models_are_built(trained: Done) -> None:
    build = [sys.executable, "-m", "mlsys.train", "cifar10_small", "--output", str(trained.folder / "models")]
    done = subprocess.run(build, cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stdout.startswith("cifar10_small: kept as trained here")


def test_training_opens_no_test_picture(asked: pipeline.Run, tmp_path: Path) -> None:
    folder, arrays = pipeline.prepared(replace(asked, work=tmp_path))
    (folder / "test.npz").unlink()
    done = pipeline.trained(replace(asked, work=tmp_path), (folder, arrays))
    pipeline.built(replace(asked, work=tmp_path), (folder, arrays), done)


def test_a_variant_that_lost_too_much_is_not_written_and_the_rest_is(
    asked: pipeline.Run, trained: Done, tmp_path: Path
) -> None:
    arrays = pipeline.prepared(asked)
    files = pipeline.built(asked, arrays, pipeline.trained(asked, arrays))
    folder = pipeline.evaluated(asked, arrays, files)[0]
    metrics, marks = folder / "metrics.json", folder / "done.json"
    before = metrics.read_text(), marks.read_text()
    worse = json.loads(before[0])
    worse["cifar10_small_int8"]["accuracy"] -= 0.02
    metrics.write_text(json.dumps(worse))
    mark = json.loads(before[1]) | {"metrics.json": hashlib.sha256(metrics.read_bytes()).hexdigest()}
    marks.write_text(json.dumps(mark))
    try:
        released = publish.publish(asked, tmp_path, None)
        with pytest.raises(SystemExit) as refused:
            train.main([*QUICK, *trained.places, "--data", str(asked.data)])
    finally:
        metrics.write_text(before[0])
        marks.write_text(before[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cifar10_small"]
    assert released.refusal
    assert refused.value.code == released.refusal, "which Python prints, and exits with 1"


def test_shipping_copies_files_answers_sums_and_facts(asked: pipeline.Run, tmp_path: Path) -> None:
    released = publish.publish(asked, tmp_path / "models", None)
    folder = tmp_path / "pretrained"
    ship.ship(asked, released, folder)
    ship.ship(asked, released, folder)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in released.files.values()]
    names = list(released.files)
    assert (folder / "SHA256SUMS").read_text() == "".join(
        f"{digest}  {name}/model.onnx\n"
        for digest, name in sorted(zip(digests, names, strict=True), key=lambda two: two[1])
    )
    with np.load(folder / "test_probabilities.npz") as arrays:
        assert sorted(arrays.files) == ["cifar10_small", "cifar10_small_int8", "classes"]
        assert (arrays["cifar10_small"].shape, arrays["cifar10_small"].dtype) == ((100, 10), np.float16)
    facts = card.load(folder)
    assert facts["training"]["cifar10_small"]["pictures"] == 360
    assert (folder / "README.md").read_text() == page.text(facts)
    with np.load(folder / "test_probabilities.npz") as arrays:
        others = {name: arrays[name] for name in arrays.files} | {"classes": arrays["classes"][::-1]}
    np.savez(folder / "test_probabilities.npz", **others)
    with pytest.raises(StartupError, match="was measured on other test pictures"):
        ship.ship(asked, released, folder)


def test_a_book_network_is_not_shipped(asked: pipeline.Run, tmp_path: Path) -> None:
    released = publish.Released({}, [], 0, tmp_path, None)
    with pytest.raises(StartupError, match="Nothing of cifar10_simple is shipped"):
        ship.ship(replace(asked, model_type="simple"), released, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--epochs", "0"], "Argument --epochs: '0' is no whole number from 1 to 1000"),
        (["--batch_size", "1"], "Argument --batch_size: '1' is no whole number from 2 to 10000"),
        (["--learning_rate", "nan"], "Argument --learning_rate: 'nan' is no number from 1e-06 to 10"),
        (["--validation", "1"], "Argument --validation: '1' is no number from 0 to 0.5"),
        (["--num_workers", "x"], "Argument --num_workers: 'x' is no whole number from 1 to 64"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        train.main(arguments)
    assert (refused.value.code, *capsys.readouterr()) == (2, "", f"{sentence}\n")


def test_pictures_that_are_not_there_are_refused_with_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"There are no pictures at {tmp_path}/nowhere: name a tar or a folder"):
        train.main(["--data", str(tmp_path / "nowhere"), "--work", str(tmp_path)])


def test_asking_what_can_be_trained_imports_no_torch() -> None:
    script = f"import sys, {MODULE}\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True)
    assert done.stdout == "False\n"
