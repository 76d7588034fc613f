import subprocess
from pathlib import Path

import pytest

from mlsys import catalogue
from mlsys.catalogue import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for file, text in {
        "chapter2_training/__init__.py": '"""Training."""',
        "chapter2_training/some_model/__init__.py": '"""Train some model."""',
        "chapter2_training/some_model/train.py": "raise RuntimeError('looking must not run it')",
        "chapter2_training/model_db/__init__.py": '"""Keep models."""',
        "chapter2_training/model_db/train.py": "",
        "chapter2_training/model_db/Procfile": "web: true",
        "chapter4_serving/web/__init__.py": "raise RuntimeError('looking must not run it')",
        "chapter4_serving/web/Procfile": "web: true",
        "chapter4_serving/maker/__init__.py": '"""Make patterns."""',
        "chapter4_serving/maker/new.py": "raise RuntimeError('looking must not run it')",
        "chapter4_serving/no_package/Procfile": "web: true",
        "chapter4_serving/notes/__init__.py": "",
        "elsewhere/web/__init__.py": "",
        "elsewhere/web/Procfile": "web: true",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    return tmp_path


def test_a_pattern_is_a_package_of_a_chapter_with_a_procfile(root: Path) -> None:
    assert [entry.name for entry in catalogue.patterns(root)] == ["model_db", "web"]


def test_a_project_is_a_package_of_a_chapter_that_trains_and_has_no_procfile(root: Path) -> None:
    assert [entry.name for entry in catalogue.projects(root)] == ["some_model"]


def test_a_template_is_a_package_of_a_chapter_that_makes_patterns(root: Path) -> None:
    assert [entry.name for entry in catalogue.templates(root)] == ["maker"]


def test_an_entrys_module_is_its_path_and_its_intent_its_docstring(root: Path) -> None:
    (entry,) = catalogue.projects(root)
    assert (entry.module, entry.intent) == ("chapter2_training.some_model", "Train some model.")


def test_a_package_that_says_nothing_has_an_empty_intent(root: Path) -> None:
    assert catalogue.patterns(root)[1].intent == ""


def test_make_and_the_catalogue_find_the_same_patterns() -> None:
    done = subprocess.run(["make", "run", "PATTERN=?"], cwd=ROOT, capture_output=True, text=True, check=False)
    listed = done.stderr.partition("there are: ")[2].partition(".")[0].split()
    assert sorted(listed) == sorted(entry.name for entry in catalogue.patterns())
