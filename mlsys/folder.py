"""A pattern's folder as the launcher sees it: the commands of its Procfile, and .run/ for what is written meanwhile."""

import re
import shlex
import shutil
import tempfile
from pathlib import Path

from honcho.environ import parse_procfile

from .errors import StartupError

_PACKAGE = re.compile(r"\b(?!mlsys\.)[a-z]\w*\.\w+")
_FIELD = re.compile(r"^    (\w+): ", re.MULTILINE)
_PORT = re.compile(r"\$\{((?:[A-Z]+_)*PORT):-(\d+)\}")


def commands(directory: Path) -> dict[str, str]:
    """The Procfile's commands by name. Raises: StartupError if there is none, or a line is more than one command."""
    if not (directory / "Procfile").is_file():
        raise StartupError(f"{directory} is no pattern: it has no Procfile.")
    found: dict[str, str] = parse_procfile((directory / "Procfile").read_text()).processes
    for name, command in found.items():
        if more := [word for word in shlex.shlex(command, posix=True, punctuation_chars=";&|") if word[0] in ";&|"]:
            raise StartupError(f"{directory}/Procfile: {name} is not one command, it has {more[0]!r}.")
    return found


def steps(commands: dict[str, str]) -> dict[str, str]:
    """Those of a Procfile's commands that are run to their end before the others start: `release`, as on Heroku, and
    every name that begins so.
    """
    return {name: command for name, command in commands.items() if name.startswith("release")}


def settings(directory: Path) -> set[str]:
    """The names of the settings of the packages in the Procfile's commands, read without importing these.

    Raises: StartupError as `commands` does.
    """
    packages = {package for command in commands(directory).values() for package in _PACKAGE.findall(command)}
    files = [Path(directory.parents[1], *package.split("."), "settings.py") for package in packages]
    return {field for file in files if file.exists() for field in _FIELD.findall(file.read_text())}


def ports(directory: Path) -> dict[str, int]:
    """The default ports of a pattern by variable: the words `${PORT:-8501}` and `${…_PORT:-8500}` of its Procfile.

    Raises: StartupError as `commands` does.
    """
    return {name: int(port) for command in commands(directory).values() for name, port in _PORT.findall(command)}


def fill(command: str, chosen: dict[str, int]) -> str:
    """A command of the Procfile with the ports that were chosen, by variable, in place of their defaults."""
    return _PORT.sub(lambda word: str(chosen[word[1]]), command)


def make_runtime(directory: Path) -> Path:
    """The pattern's .run/, where logs and temporary files go. Raises: StartupError if nothing can be written there."""
    folder = directory / ".run"
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise StartupError(
            f"{folder} cannot be written ({error.strerror}): run a copy of the repository that you can write to."
        ) from None


def sweep(directory: Path, keep: Path | None = None) -> None:
    """Remove what a launcher that was killed could not: the metrics of workers that are gone, and a demo's data.

    keep: what a demo uses that has just begun.
    """
    for name in ("metrics-*", "demo-*"):
        for left in (directory / ".run").glob(name):
            if left != keep:
                shutil.rmtree(left)
