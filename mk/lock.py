"""Resolve Pipfile into Pipfile.lock, take the addresses out of it, and export each category with hashes to requirements/.

Usage: python mk/lock.py PIPENV [--export]   (PIPENV: path of the pipenv program; --export leaves the lock as it is)
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "Pipfile.lock"
HEADER = "# Generated from Pipfile.lock by `make lock`; do not edit.\n"
ENVIRONMENT = os.environ | {"PIPENV_VENV_IN_PROJECT": "1", "PIPENV_VERBOSITY": "-1", "PIPENV_IGNORE_VIRTUALENVS": "1"}


def pipenv(program: str, *arguments: str) -> str:
    """Run pipenv in the root with the interpreter that runs this file; return what it printed."""
    command = [program, "--python", sys.executable, *arguments]
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
    program = sys.argv[1]
    if "--export" not in sys.argv:
        pipenv(program, "lock")
        LOCK.write_text(without_addresses(json.loads(LOCK.read_text())))
    for category in categories():
        hashed = pipenv(program, "requirements", "--hash", "--categories", category)
        (ROOT / "requirements" / f"{category}.txt").write_text(HEADER + hashed)


if __name__ == "__main__":
    main()
