"""Commands of a Procfile that are run to their end before the pattern is: one-shot steps, and checks."""

import os
import shlex
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from .errors import StartupError
from .parent import die_with_parent

SERVERS = {"mlsys.serve", "mlsys.server"}
"""Modules that serve HTTP and that build their app, and open no port, when they are given --check."""


def finish(name: str, command: str, root: Path, environment: dict[str, str]) -> None:
    """Run a one-shot step to its end. Raises: StartupError with what it said if that was not a good one."""
    done = _in_shell(command, root, environment)
    if done.returncode:
        said = done.stderr.strip().removeprefix("Cannot start: ") or f"it ended with code {done.returncode}."
        raise StartupError(f"{name} failed: {said}")
    sys.stderr.write(done.stderr)


def check(command: str, root: Path, environment: dict[str, str]) -> None:
    """Build the app of one Procfile line without serving it. Raises: StartupError with what it said."""
    word = next(word for word in shlex.split(command) if word in SERVERS)
    done = _in_shell(command.replace(word, f"{word} --check", 1), root, environment)
    if done.returncode:
        raise StartupError(done.stderr.strip().removeprefix("Cannot start: "))


def _in_shell(command: str, root: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a command of the Procfile to its end, as the manager would start it."""
    return subprocess.run(
        ["sh", "-c", f"exec env {command}"],
        cwd=root,
        env=environment,
        check=False,
        text=True,
        stderr=subprocess.PIPE,
        preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGKILL),
    )
