"""A small repository of its own for tests: the real Makefile, mk/, mlsys and packages, with patterns that misbehave."""

import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from mk.bootstrap import Home
from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.processes import marked
from mlsys.testing import eventually

READY = "curl -s"  # the last thing that the launcher says when the pattern is ready
SERVICE = """
async def answer(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": STATUS if scope["path"] == "/ready" else 404, "headers": []})
    await send({"type": "http.response.body", "body": b"as told"})


def create_app():
    return answer
"""


class House:
    """The repository, in `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("Makefile", "Pipfile", "Pipfile.lock"):
            shutil.copy(ROOT / name, root / name)
        shutil.copytree(ROOT / "mk", root / "mk", ignore=shutil.ignore_patterns("__pycache__"))
        (root / "mlsys").symlink_to(ROOT / "mlsys")
        (root / ".venv").mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            (root / ".venv" / name).symlink_to(Path(sys.prefix) / name)
        Home(root).record(
            {"packages", "inference", "local", "training", "tracking", "database", "redis", "packaging", "dev-packages"}
        )

    def pattern(self, name: str, procfile: str, files: Mapping[str, str] | None = None) -> Path:
        """Add a pattern; in the Procfile HERE is its package."""
        directory = self.root / "chapter4_serving_patterns" / name
        directory.mkdir(parents=True)
        here = f"chapter4_serving_patterns.{name}"
        texts = {"__init__.py": '"""A pattern of a test."""\n', "Makefile": "include ../../mk/pattern.mk\n"}
        texts |= {"Procfile": procfile.replace("HERE", here)} | dict(files or {})
        for file, text in texts.items():
            (directory / file).write_text(text)
        return directory

    def project(self, name: str) -> Path:
        """Add a training project, which prints the arguments that it gets."""
        directory = self.root / "chapter2_training" / name
        directory.mkdir(parents=True)
        (directory / "Makefile").write_text(f"MODULE := chapter2_training.{name}.train\ninclude ../../mk/project.mk\n")
        (directory / "train.py").write_text("import sys\nprint(*sys.argv[1:])\n")
        return directory

    def service(self, name: str = "web_single_pattern", status: int = 200) -> Path:
        """Add a pattern that serves by `mlsys.serve`, whose /ready answers `status`."""
        app = SERVICE.replace("STATUS", str(status))
        return self.pattern(name, "web: python -m mlsys.serve HERE.app:create_app\n", {"app.py": app})


class Terminal:
    """A command in a terminal of its own, with what the terminal shows."""

    def __init__(self, command: list[str], cwd: Path, **environment: str) -> None:
        self.port = int(environment.setdefault("PORT", str(free_port())))
        self.shown = ""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(command[0], command, os.environ | environment)  # noqa: S606  # no shell is meant
        os.set_blocking(self.master, False)

    def read(self) -> str:
        """What was shown until now."""
        try:
            while chunk := os.read(self.master, 65536):
                self.shown += chunk.decode(errors="replace")
        except OSError:  # nothing now, or nobody on the other side any more
            return self.shown
        return self.shown

    def shows(self, text: str) -> None:
        """Wait until the terminal shows `text`."""
        eventually(lambda: text in self.read(), deadline_s=15)

    def press_ctrl_c(self) -> None:
        os.write(self.master, b"\x03")

    def close(self) -> None:
        os.close(self.master)

    def ended(self, deadline_s: float = 15) -> int:
        """Wait for the end; the exit code, or minus the signal that ended it."""
        status: list[int] = []

        def gone() -> bool:
            self.read()
            pid, code = os.waitpid(self.pid, os.WNOHANG)
            status.append(code)
            return pid == self.pid

        eventually(gone, deadline_s=deadline_s)
        return os.waitstatus_to_exitcode(status[-1])


def launcher_of(directory: Path) -> psutil.Process:
    """The launcher that runs the pattern."""
    return next(p for p in marked(str(directory)) if "run" in p.cmdline() and p.ppid() not in _pids(directory))


def supervisor_of(directory: Path) -> psutil.Process:
    """The process that the Procfile names: uvicorn's parent of the workers."""
    return next(p for p in marked(str(directory)) if p.cmdline()[1:3] == ["-m", "mlsys.serve"])


def workers_of(directory: Path) -> list[psutil.Process]:
    """The workers of the pattern's service."""
    return [process for process in marked(str(directory)) if "spawn_main" in " ".join(process.cmdline())]


def _pids(directory: Path) -> set[int]:
    return {process.pid for process in marked(str(directory))}


def nothing_left_of(directory: Path) -> None:
    """Wait until no process carries the pattern's mark."""
    eventually(lambda: not marked(str(directory)), deadline_s=5)


def make(house: House, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run make in the house to its end."""
    return subprocess.run(["make", *arguments], cwd=house.root, capture_output=True, text=True, check=False, timeout=60)


Stop = Callable[[Terminal, Path], None]
STOPS: dict[str, Stop] = {
    "Ctrl-C": lambda terminal, _: terminal.press_ctrl_c(),
    "SIGTERM to make": lambda terminal, _: os.kill(terminal.pid, signal.SIGTERM),
    "SIGTERM to the launcher": lambda _, directory: launcher_of(directory).terminate(),
    "SIGHUP to the group": lambda terminal, _: os.killpg(terminal.pid, signal.SIGHUP),
    "closed terminal": lambda terminal, _: terminal.close(),
    "kill -9 of the launcher": lambda _, directory: launcher_of(directory).kill(),
    "kill -9 of uvicorn's parent": lambda _, directory: supervisor_of(directory).kill(),
}
