"""`make new` as a person types it: a project that lives outside this repository, and a pattern in a clone of it."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import pytest

from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.testing import eventually

pytestmark = pytest.mark.e2e
Done: TypeAlias = "subprocess.CompletedProcess[str]"
COPIED = ["mlsys", "mk", "requirements", "tests/contract", "tests/__init__.py", "tests/running.py", "docs"]
COPIED += ["chapter2_training", "chapter4_serving_patterns/web_single_pattern"]
COPIED += ["chapter4_serving_patterns/template_pattern", "*.md", "*.toml", "Makefile", "Pipfile*", "conftest.py"]
COPIED += ["chapter*/__init__.py", "chapter*/README.md", ".dockerignore", ".gitignore"]


def make(*words: str, cwd: Path, **environment: str) -> Done:
    """Type `make` and the words."""
    return subprocess.run(
        ["make", *words],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    """A copy of the part of this repository that makes patterns, with its environment, to be written to."""
    copy = tmp_path_factory.mktemp("checkout")
    named = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *COPIED]
    for file in subprocess.check_output(named, cwd=ROOT, text=True).split("\0")[:-1]:
        if (ROOT / file).exists():  # else it is deleted, and not yet committed
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, copy / file)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    shutil.copytree(models, copy / "models")
    shutil.copytree(models, copy / ".run" / "models")
    return copy


@pytest.fixture(scope="module", autouse=True)
def checking(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, "Future[Done]"]]:
    """A project of a model that is not about three flowers, whose CI runs while the tests run that need no install."""
    place = tmp_path_factory.mktemp("elsewhere") / "my_service"
    done = make("new", "name=my_service", "model=iris_outlier", f"to={place}", cwd=checkout)
    assert done.returncode == 0, done.stderr
    with ThreadPoolExecutor(max_workers=1) as thread:
        yield place, thread.submit(make, "ci", f"PYTHON={ROOT / '.venv' / 'bin' / 'python'}", cwd=place)


def test_a_pattern_made_in_a_chapter_passes_the_contract_and_its_own_tests(checkout: Path) -> None:
    done = make("new", "name=second_pattern", "model=iris_perceptron", cwd=checkout)
    assert done.returncode == 0, done.stderr
    made = "chapter4_serving_patterns/second_pattern"
    python = str(checkout / ".venv" / "bin" / "python")
    for tool in (["ruff", "check"], ["ruff", "format", "--check"]):
        subprocess.run([python, "-m", *tool, made], cwd=checkout, check=True, stdout=subprocess.DEVNULL)
    tested = subprocess.run(
        [python, "-m", "pytest", "-q", "-k", "second_pattern", "tests/contract", made],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout[-5000:]
    assert json.loads(re.search(r"(\d+) passed", tested.stdout)[1]) > 100  # type: ignore[index]  # else it says so


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["name=`touch made`"], "name=`touch made` will not do"),
        (["name=a'b"], "name=a'b will not do"),
        (["name=mine", "modle=iris_rf"], "Unrecognized arguments: --modle=iris_rf"),
        (["name=mine", "data_structure=(1,5)"], "data_structure=(1,5) contradicts the model iris_svc, whose is (1,4)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_made_is_one_sentence_and_leaves_nothing(
    checkout: Path, words: list[str], sentence: str
) -> None:
    before = sorted((checkout / "chapter4_serving_patterns").iterdir())
    refused = make("new", *words, cwd=checkout)
    assert refused.returncode != 0
    said = [line for line in refused.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1, said
    assert sentence in said[0]
    assert sorted((checkout / "chapter4_serving_patterns").iterdir()) == before
    assert not (checkout / "made").exists()


def git(place: Path, *words: str) -> None:
    who = ["-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=place, check=True, stdout=subprocess.DEVNULL)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_an_update_brings_a_later_template_and_keeps_what_the_project_changed(checkout: Path, tmp_path: Path) -> None:
    place = tmp_path / "updated"
    assert make("new", "name=my_service", f"to={place}", cwd=checkout).returncode == 0
    service, golden = place / "services" / "my_service", checkout / "chapter4_serving_patterns" / "web_single_pattern"
    git(place, "init", "--quiet")
    edit(service / "app.py", "The service, with its model loaded.", "My own service.")
    edit(service / "predictor.py", "scaling is inside", "scaling is, as I know, inside")
    (service / "demo.py").unlink()
    (service / "own.py").write_text("OWN = 1\n")
    assert "is not all committed" in make("update", f"to={place}", cwd=checkout).stderr
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--message=mine")
    unchanged = make("update", f"to={place}", cwd=checkout)
    assert (unchanged.returncode, unchanged.stdout) == (0, ""), unchanged.stderr

    edit(golden / "app.py", "The classes, in the order", "All the classes, in the order")  # a phrase of markup.py
    assert "has 'The classes, in the order" in make("update", f"to={place}", cwd=checkout).stderr
    edit(golden / "app.py", "All the classes, in the order", "The classes, in the order")
    edit(golden / "app.py", "Shapes and types of input", "The shapes and types of input")
    edit(golden / "manifests" / "60-autoscaler.yaml", "maxReplicas: 6", "maxReplicas: 9")
    edit(checkout / "mlsys" / "address.py", '"""', '"""Later: ')
    done = make("update", f"to={place}", cwd=checkout)
    assert done.returncode == 0, done.stderr
    app = (service / "app.py").read_text()
    assert "My own service." in app
    assert "The shapes and types of input" in app
    assert "maxReplicas: 9" in (service / "manifests" / "60-autoscaler.yaml").read_text()
    assert "as I know" in (service / "predictor.py").read_text()
    assert (service / "own.py").exists()
    assert not (service / "demo.py").exists()
    (wheel,) = (place / "vendor").iterdir()
    assert wheel.name in (place / "requirements" / "packages.txt").read_text()

    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--message=updated")
    edit(golden / "predictor.py", "scaling is inside", "scaling is always inside")
    conflicting = make("update", f"to={place}", cwd=checkout)
    assert conflicting.returncode != 0
    assert "Both have changed the same lines of services/my_service/predictor.py" in conflicting.stderr
    assert "<<<<<<< project" in (service / "predictor.py").read_text()


@pytest.fixture(scope="module")
def checked(checking: tuple[Path, "Future[Done]"]) -> tuple[Path, Done]:
    """The project, installed as its own lock says, and what its CI said."""
    return checking[0], checking[1].result()


def test_a_project_passes_its_own_ci_outside_this_repository(checked: tuple[Path, Done]) -> None:
    project, done = checked
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)
    where = [str(project / ".venv" / "bin" / "python"), "-c", "import mlsys; print(mlsys.__file__)"]
    assert subprocess.check_output(where, cwd=project, text=True).startswith(str(project / ".venv"))


@pytest.fixture
def running(checked: tuple[Path, Done], tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The project as `make run` starts it: its port and its log. Ctrl-C ends it."""
    project, _ = checked
    port, log = free_port(), tmp_path / "run.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["make", "run", f"PORT={port}"], cwd=project, stdout=output, stderr=output, start_new_session=True
        )
    try:
        eventually(lambda: "Ready after" in log.read_text() or process.poll() is not None, deadline_s=30)
        yield port, log
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=30) in (0, -signal.SIGINT), log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_project_that_runs_answers_as_its_readme_says(checked: tuple[Path, Done], running: tuple[int, Path]) -> None:
    project, _ = checked
    port, log = running
    (block,) = re.findall(r"```console\n(.*?)```", (project / "README.md").read_text(), re.DOTALL)
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        printed = subprocess.check_output(["bash", "-c", command.replace(":8000", f":{port}")], text=True)
        pattern = ".*?".join(re.escape(piece) for piece in expected.strip().split("…"))
        assert re.fullmatch(pattern, printed.strip()), (command, printed, log.read_text())
