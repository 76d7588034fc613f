"""The READMEs' own commands, typed as they stand: what they print is compared with what the README says they print."""

import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlsys import catalogue
from mlsys.catalogue import ROOT, Entry
from mlsys.testing import eventually, free_port

pytestmark = pytest.mark.e2e
GOLDEN = ROOT / "chapter4_serving_patterns" / "web_single_pattern"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


class Running:
    """A pattern started by `make run` in its folder, on a free port instead of 8000."""

    def __init__(self, directory: Path, log: Path) -> None:
        self.port = free_port()
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["make", "run", f"PORT={self.port}"],
                cwd=directory,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def is_ready(self) -> bool:
        """Whether /ready answers. Raises: AssertionError with the log if the process has ended."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def printed(self, command: str) -> str:
        """What a command of the README prints in a shell."""
        typed = command.replace(":8000", f":{self.port}")
        done = subprocess.run(["bash", "-c", typed], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.strip()

    def stop(self) -> int:
        """Ctrl-C, as a terminal sends it: to the whole foreground process group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=30)


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


@pytest.fixture(params=catalogue.patterns(), ids=lambda entry: entry.name)
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Entry, Running]]:
    entry: Entry = request.param
    run = Running(entry.directory, tmp_path / "run.log")
    try:
        eventually(run.is_ready, deadline_s=60)
        yield entry, run
    finally:
        if run.process.poll() is None:
            run.stop()


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
    assert "prediction" in run.printed(line[0])


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
