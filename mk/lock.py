"""Resolve Pipfile into Pipfile.lock, take the addresses out, export each category with hashes to requirements/.

Usage: python3 -m mk.lock [--export]   (--export leaves the lock as it is)
"""

import json
import os
import re
import subprocess
import sys

from mk.bootstrap import ROOT, Home, ensure_pipenv, find_python, one_at_a_time

LOCK = ROOT / "Pipfile.lock"
HEADER = "# Generated from Pipfile.lock by `make lock`; do not edit.\n"
ENVIRONMENT = os.environ | {"PIPENV_VENV_IN_PROJECT": "1", "PIPENV_VERBOSITY": "-1", "PIPENV_IGNORE_VIRTUALENVS": "1"}


def pipenv(python: str, *arguments: str) -> str:
    """Run the checkout's own pipenv in the root, for the interpreter `python`; return what it printed."""
    command = [str(Home(ROOT).pipenv), "--python", python, *arguments]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, text=True, stdout=subprocess.PIPE).stdout


def without_addresses(lock: dict[str, dict[str, dict[str, object]]]) -> str:
    """The lock as text, without the index addresses that pipenv records (installs use pip's own index)."""
    lock["_meta"]["sources"] = []  # type: ignore[assignment]
    for category, packages in lock.items():
        if category != "_meta":
            for entry in packages.values():
                entry.pop("index", None)
    return json.dumps(lock, indent=4, sort_keys=True) + "\n"


def categories() -> list[str]:
    """The sections of Pipfile that hold packages, by the names that pipenv takes."""
    sections = re.findall(r"^\[([\w-]+)\]", (ROOT / "Pipfile").read_text(), re.MULTILINE)
    return [name for name in sections if name != "requires"]


def main() -> None:
    """Lock (unless --export) and export. Raises: CalledProcessError, after pipenv has said why."""
    python, home = find_python(), Home(ROOT)
    with one_at_a_time(home) as lock:
        ensure_pipenv(home, python, lock)
    if "--export" not in sys.argv:
        pipenv(python, "lock")
        LOCK.write_text(without_addresses(json.loads(LOCK.read_text())))
    for category in categories():
        hashed = pipenv(python, "requirements", "--hash", "--categories", category)
        (ROOT / "requirements" / f"{category}.txt").write_text(HEADER + hashed)


if __name__ == "__main__":
    main()
