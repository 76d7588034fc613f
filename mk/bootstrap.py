"""Bring the environment up to what the lock says, and do nothing when it is.

Usage: python3 -m mk.bootstrap CATEGORY...     (packages local inference database … dev-packages)

It runs before anything is installed, by whatever `python3` there is: standard library only, syntax of Python 3.8.
pipenv goes to .pipenv/<version>/, the packages to .venv/. What was installed is recorded in .venv/installed.json.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Iterator  # noqa: UP035  # the system's Python may be older than collections.abc's generics

from mk.progress import Progress, normal, say

PIPENV_VERSION = "2026.10.3"
WANTED = (3, 11)
ROOT = Path(__file__).resolve().parents[1]
SECTIONS = {"packages": "default", "dev-packages": "develop"}  # Pipfile's name: the lock's; others have one name
UNREACHABLE = re.compile(
    r"NewConnectionError|ConnectTimeout|NameResolutionError|Temporary failure in name|ProxyError|Max retries exceeded"
    r"|from versions: none"
)


class Refusal(Exception):
    """The environment cannot be made; the text says why and what to do."""


class Home:
    """The places of one checkout: Pipfile and its lock, .pipenv/ and .venv/."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tools = root / ".pipenv"
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self.pipenv = self.tools / PIPENV_VERSION / "bin" / "pipenv"
        self.pipenv_complete = self.tools / PIPENV_VERSION / "complete"
        self.log = self.tools / "install.log"
        self.stamp = self.venv / "installed.json"
        self.unfinished = self.tools / "unfinished"

    def lock_identity(self) -> str:
        """One digest of Pipfile and Pipfile.lock. Raises: OSError if one of them cannot be read."""
        return hashlib.sha256(
            (self.root / "Pipfile").read_bytes() + (self.root / "Pipfile.lock").read_bytes()
        ).hexdigest()

    def locked(self, category: str) -> dict[str, object]:
        """The lock's packages of one category, which is named as in Pipfile. Raises: Refusal if it is not JSON."""
        try:
            lock = json.loads((self.root / "Pipfile.lock").read_text())
        except ValueError as error:
            raise Refusal(f"Pipfile.lock is not JSON ({error}): restore it from git, or run `make lock`.") from None
        packages: dict[str, object] = lock.get(SECTIONS.get(category, category), {})
        return packages

    def installed(self) -> set[str]:
        """The categories that .venv holds as the present lock has them; empty if it holds another lock's."""
        if not (self.stamp.exists() and self.python.exists()):  # a link to a Python that has gone does not exist
            return set()
        stamp = json.loads(self.stamp.read_text())
        return set(stamp["categories"]) if stamp["lock"] == self.lock_identity() else set()

    def record(self, categories: set[str]) -> None:
        """Write down that .venv holds `categories` of the present lock."""
        self.stamp.write_text(json.dumps({"lock": self.lock_identity(), "categories": sorted(categories)}))


def ensure(home: Home, wanted: set[str]) -> None:
    """Make .venv hold the categories `wanted`, one process at a time. Raises: Refusal, OSError."""
    if wanted <= home.installed():
        return
    refuse_an_old_lock(home)
    with one_at_a_time(home) as lock:
        if wanted <= home.installed():  # by the make that was waited for
            return
        python = find_python()
        ensure_pipenv(home, python, lock)
        install(home, python, wanted | home.installed(), lock)


def refuse_an_old_lock(home: Home) -> None:
    """Compare the names of Pipfile with those of the lock. Raises: Refusal.

    Not by `pipenv verify`: without a [[source]] its digest includes the index that pip is configured for on a machine.
    """
    section = ""
    for line in (home.root / "Pipfile").read_text().splitlines():
        header, entry = re.match(r"\[([\w-]+)\]", line), re.match(r"([\w.-]+)\s*=", line)
        if header:
            section = header[1]
        elif entry and section != "requires" and normal(entry[1]) not in home.locked(section):
            raise Refusal(f"Pipfile.lock does not match Pipfile, it lacks {entry[1]}: run `make lock`.")


def python_version(program: str) -> tuple[int, ...]:
    """(major, minor) of the interpreter `program`; () if it does not run."""
    command = [program, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return ()
    return tuple(int(part) for part in answer.stdout.split()) if answer.returncode == 0 else ()


def find_python() -> str:
    """The Python 3.11 to build with: $PYTHON, or this one, or python3.11 of the PATH. Raises: Refusal."""
    chosen = os.environ.get("PYTHON")
    here = str(Path(sys.executable).resolve())  # of an activated environment, the interpreter under it
    candidates = [chosen] if chosen else [here, "python3.11"]
    fitting = [program for program in candidates if python_version(program) == WANTED]
    if not fitting:
        found = ".".join(map(str, python_version(candidates[0]))) or "no program that runs"
        raise Refusal(
            f"Python 3.11 is needed, and {chosen or 'python3'} is {found}: install it "
            "(apt install python3.11 python3.11-venv), or name one by PYTHON=/path/to/python3.11."
        )
    program = fitting[0]
    probe = subprocess.run([program, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL)
    if probe.returncode:
        raise Refusal(f"{program} has no venv module: apt install python3.11-venv, then run make again.")
    return program


@contextlib.contextmanager
def one_at_a_time(home: Home) -> Iterator[IO[str]]:
    """Hold the checkout's install lock; a second `make` waits for the first."""
    home.tools.mkdir(exist_ok=True)
    with (home.tools / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another make is installing; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def ensure_pipenv(home: Home, python: str, lock: IO[str]) -> None:
    """Make .pipenv/<version>/ with the pinned pipenv, unless it is complete. Raises: Refusal."""
    if home.pipenv_complete.exists():
        return
    say(f"making .pipenv with pipenv {PIPENV_VERSION}")
    place = home.pipenv_complete.parent
    shutil.rmtree(str(place), ignore_errors=True)
    step(home, [python, "-m", "venv", str(place)], lock, "a virtual environment could not be made")
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", f"pipenv=={PIPENV_VERSION}"]
    step(home, pip, lock, f"pipenv {PIPENV_VERSION} could not be installed")
    home.pipenv_complete.touch()


def install(home: Home, python: str, categories: set[str], lock: IO[str]) -> None:
    """Install `categories` into .venv and record it; what an interrupted install left goes first. Raises: Refusal."""
    if home.unfinished.exists() or python_version(str(home.python)) != WANTED:
        shutil.rmtree(str(home.venv), ignore_errors=True)
    home.unfinished.touch()
    command = [str(home.pipenv), "--python", python, "sync", "--categories", " ".join(sorted(categories))]
    site = home.venv / "lib" / "python{}.{}".format(*WANTED) / "site-packages"
    say(f"installing into .venv: {', '.join(sorted(categories))}")
    progress = Progress(site, {name for category in categories for name in home.locked(category)})
    step(home, command, lock, "the packages could not be installed", progress)
    home.record(categories)
    home.unfinished.unlink()
    progress.end()


def step(home: Home, command: list[str], lock: IO[str], failure: str, progress: Progress | None = None) -> None:
    """Run one command with its output in the log; the lock stays held while it lives. Raises: Refusal."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")}
    environment.update(
        PIPENV_VENV_IN_PROJECT="1", PIPENV_IGNORE_VIRTUALENVS="1", PIPENV_PIPFILE=str(home.root / "Pipfile")
    )
    environment.setdefault("PIP_RETRIES", "2")  # without a network, pip's own five take their time
    with home.log.open("w") as log:
        child = subprocess.Popen(
            command,
            cwd=str(home.root),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # to end all of it at once
            pass_fds=[lock.fileno()],
        )
        try:
            while child.poll() is None:
                time.sleep(0.05)
                if progress:
                    progress.tick()
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    if child.returncode:
        text = " ".join(home.log.read_text(errors="replace").split())
        reason = " (nothing came from the package index: is there a network?)" if UNREACHABLE.search(text) else ""
        raise Refusal(f"{failure}{reason}; details in {home.log}.")


def interrupted(signum: int, _: object) -> None:
    """End as after Ctrl-C, so that what was started is ended too."""
    raise KeyboardInterrupt(signum)


def main() -> int:
    """Exit code 0 when the environment stands, 1 with one sentence when it cannot be made, 130 when interrupted."""
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    try:
        ensure(Home(ROOT), set(sys.argv[1:]))
    except Refusal as refusal:
        print(f"Cannot install: {refusal}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Cannot install: {error.filename}: {error.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe install was interrupted; the next make begins it anew.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
