"""What was made, formatted."""

import subprocess
import sys
from pathlib import Path

from mlsys.catalogue import ROOT


def tidy(folder: Path, root: Path) -> None:
    """Format what was made, as code below `root`: names of other lengths break lines and are sorted elsewhere."""
    ruff = [sys.executable, "-m", "ruff"]
    how = ["--quiet", "--no-cache", "--config", str(ROOT / "pyproject.toml"), str(folder)]
    subprocess.run([*ruff, "check", "--select", "I", "--fix", *how], cwd=root, check=True)
    subprocess.run([*ruff, "format", *how], cwd=root, check=True)
