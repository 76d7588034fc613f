"""The READMEs' own commands, typed as they stand: what they print is compared with what the README says they print."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlsys import catalogue
from mlsys.catalogue import ROOT, Entry
from mlsys.testing import eventually
from tests.running import Running

pytestmark = pytest.mark.e2e
GOLDEN = ROOT / "chapter4_serving_patterns" / "web_single_pattern"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def conversations(readme: Path) -> list[tuple[str, str]]:
    """(command, expected output) of every `console` block."""
    found = []
    for block in BLOCK.findall(readme.read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output.strip()))
    return found


def agrees(printed: str, expected: str) -> bool:
    """Whether the output is the expected one, in which … stands for anything within a line."""
    pattern = ".*?".join(re.escape(part) for part in expected.split("…"))
    return re.fullmatch(pattern, printed) is not None


@pytest.fixture(params=catalogue.patterns(), ids=lambda entry: entry.name, scope="module")
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Entry, Running]]:
    """One run of a pattern, for all that is said to it."""
    entry: Entry = request.param
    with Running.ready(entry.directory, tmp_path_factory.mktemp(entry.name) / "run.log") as run:
        yield entry, run


def test_a_readmes_commands_print_what_it_says(running: tuple[Entry, Running]) -> None:
    entry, run = running
    dialogue = conversations(entry.directory / "README.md")
    assert dialogue, f"{entry.name}/README.md shows no conversation"
    if entry.directory == GOLDEN:
        dialogue += conversations(ROOT / "README.md")
    for command, expected in dialogue:
        printed = run.printed(command)
        assert agrees(printed, expected), f"{command}\nprinted  {printed}\nexpected {expected}"


def test_the_curl_line_that_make_run_prints_works(running: tuple[Entry, Running]) -> None:
    _, run = running
    line = eventually(lambda: re.search(r"curl .*", run.log.read_text()), deadline_s=10)
    assert line
    answer = json.loads(run.printed(line[0]))
    assert "error" not in answer


@pytest.mark.parametrize("project", catalogue.projects(), ids=lambda entry: entry.name)
def test_a_training_projects_commands_print_what_its_readme_says(project: Entry, tmp_path: Path) -> None:
    store = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    for command, expected in conversations(project.directory / "README.md"):
        typed = f"{command} output={tmp_path}"  # a person's own models stay as they are
        output = subprocess.check_output(typed.split(), cwd=project.directory, env=store, text=True)
        printed = output.replace(os.path.relpath(tmp_path, ROOT), "models").strip()
        assert agrees(printed, expected), f"{command}\nprinted  {printed}\nexpected {expected}"


def test_an_ellipsis_stands_for_anything_and_nothing_else_does() -> None:
    assert agrees('{"prediction":[0.98]}', '{"prediction":[0.9…]}')
    assert not agrees('{"prediction":[0.18]}', '{"prediction":[0.9…]}')
