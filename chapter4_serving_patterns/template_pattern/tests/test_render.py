"""The template cannot rot: filled in with the golden pattern's own answers it is the golden pattern, byte for byte."""

import re
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT

from .. import variables
from ..markup import KINDS
from ..render import CHAPTER, golden, render, template, texts
from ..tidy import tidy

OWN_PROSE = {"README.md"}
"""The golden README has figures that were measured, and reasons; a new pattern has neither, and gets its own."""
IRIS = re.compile(r"iris|flower|setosa|versicolor|virginica|sepal|petal|centimet|\bcm\b", re.IGNORECASE)


def made(tmp_path: Path, models: Path, model: str, name: str, *, own_schema: bool, project: bool = False) -> Path:
    """A folder with what the template gives for a model."""
    answers = variables.of(model, models / model / "model.onnx", {}).answers()
    answers |= {"name": name, "kind": "single", "project": project, "own_schema": own_schema}
    answers |= {"secrets": [], "exports": []}
    answers["chapter"] = "services" if project else CHAPTER
    (tmp_path / "template").mkdir()
    render(template("single", own_schema=own_schema, project=project), answers, tmp_path / "template", tmp_path / name)
    tidy(tmp_path / name, ROOT)
    return tmp_path / name


def test_with_its_own_answers_the_golden_pattern_comes_out_byte_for_byte(tmp_path: Path, models: Path) -> None:
    folder = made(tmp_path, models, "iris_svc", KINDS["single"], own_schema=False)
    assert {path: text for path, text in texts(folder).items() if path not in OWN_PROSE} == golden("single", OWN_PROSE)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"single"}))
def test_another_kind_is_its_pattern_byte_for_byte_but_for_its_name(tmp_path: Path, kind: str) -> None:
    for name in (KINDS[kind], "other_name"):
        (tmp_path / f"template_{name}").mkdir()
        answers: dict[str, object] = {"name": name, "kind": kind, "chapter": CHAPTER}
        render(template(kind, own_schema=False, project=False), answers, tmp_path / f"template_{name}", tmp_path / name)
        tidy(tmp_path / name, ROOT)
    same = {path: text for path, text in texts(tmp_path / KINDS[kind]).items() if path not in OWN_PROSE}
    assert same == golden(kind, OWN_PROSE)
    for path, text in texts(tmp_path / "other_name").items():
        assert not re.search(KINDS[kind].replace("_", "."), text), path


def test_a_new_pattern_has_nothing_of_the_golden_ones_names(tmp_path: Path, models: Path) -> None:
    for path, text in texts(made(tmp_path, models, "iris_rf", "other", own_schema=False)).items():
        assert path == "README.md" or not re.search(r"web.single|iris_svc", text, re.IGNORECASE), path


@pytest.mark.parametrize("project", [False, True], ids=["pattern", "project"])
def test_a_service_of_another_schema_says_nothing_of_flowers(tmp_path: Path, models: Path, project: bool) -> None:
    folder = made(tmp_path, models, "iris_perceptron", "other", own_schema=True, project=project)
    for path, text in texts(folder).items():
        own = text.replace("iris_perceptron", "")  # the model's own words stand where they belong
        if Path(path).name not in {"schema.py", "README.md", "test_predictor.py", "test_app.py", "test_demo.py"}:
            assert not IRIS.search(own), path


@pytest.mark.parametrize("own_schema", [False, True], ids=["flowers", "own-schema"])
@pytest.mark.parametrize("project", [False, True], ids=["pattern", "project"])
def test_no_mark_and_no_machines_path_is_left(tmp_path: Path, models: Path, own_schema: bool, project: bool) -> None:
    folder = made(tmp_path, models, "iris_svc", "other", own_schema=own_schema or project, project=project)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert not re.search(r"[⟦⟧]|@configuration@", path.read_text()), path
        assert str(tmp_path) not in path.read_text(), path


def test_the_new_readme_has_the_golden_ones_headings(tmp_path: Path, models: Path) -> None:
    readme = (made(tmp_path, models, "iris_svc", "other", own_schema=False) / "README.md").read_text()
    headings = re.compile(r"^## .*$", re.MULTILINE)
    assert headings.findall(readme) == headings.findall(golden("single", set())["README.md"])
