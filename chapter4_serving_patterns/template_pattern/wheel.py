"""The wheel of mlsys that a project carries."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mlsys.catalogue import ROOT
from mlsys.errors import StartupError

_EPOCH = "1580601600"  # of every file in the wheel: the same code gives the same bytes
_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "mlsys"
version = "{version}"
description = "What every service of the ML system design patterns does."
requires-python = ">=3.11"

[tool.hatch.build]
ignore-vcs = true

[tool.hatch.build.targets.wheel]
packages = ["mlsys"]
"""


def build(output: Path) -> Path:
    """Write the wheel of this checkout's mlsys into a folder. Its version names the content: 0+<first digits>.

    Raises: StartupError with what the builder said.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        shutil.copytree(ROOT / "mlsys", source / "mlsys", ignore=shutil.ignore_patterns("__pycache__"))
        digest = hashlib.sha256()
        for path in sorted(path for path in (source / "mlsys").rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(source)}\0".encode() + path.read_bytes())
        (source / "pyproject.toml").write_text(_PYPROJECT.format(version=f"0+{digest.hexdigest()[:12]}"))
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(output), folder]
        done = subprocess.run(
            command, env={"SOURCE_DATE_EPOCH": _EPOCH}, capture_output=True, text=True, check=False, timeout=120
        )
    if done.returncode:
        raise StartupError(f"mlsys could not be made a wheel: {' '.join((done.stdout + done.stderr).split()[-60:])}")
    return next(output.glob("*.whl"))
