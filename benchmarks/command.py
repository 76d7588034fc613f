"""What the command lines of all benchmarks have in common."""

import argparse
import shlex
import signal
import sys
from pathlib import Path

from mlsys.catalogue import ROOT

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def line(name: str) -> str:
    """The command that was typed, for the report."""
    return shlex.join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]])


def leave_on_signals() -> None:
    """End by SystemExit, which stops what was started on the way; a second Ctrl-C does not interrupt that."""
    for number in SIGNALS:
        signal.signal(number, _leave)


def _leave(number: int, _: object) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def count(text: str) -> int:
    """A whole number from 1. Raises: argparse.ArgumentTypeError for anything else."""
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count: give a whole number from 1")
    return int(text)


def parser(name: str, description: str | None, *, rounds: int | None = 5) -> argparse.ArgumentParser:
    """`python -m benchmarks.<name>` with its number of rounds and the folder of its results.

    rounds: the default; None if the benchmark chooses by its other options.
    """
    command = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    help_text = f"rounds; the results are medians over them ({rounds or 5})"
    command.add_argument("--rounds", type=count, default=rounds, help=help_text)
    command.add_argument("--output", type=Path, default=ROOT / "benchmarks/results", help="folder of the results")
    return command
