"""List what is over the sizes of docs/style.md, as a hint that a file is becoming two things. It never fails."""

import ast
import subprocess
from pathlib import Path

from mlsys.catalogue import ROOT

MODULE, SHARED, FUNCTION = 120, 250, 30


def main() -> None:
    """Print a line for each module and function that is over its size."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for file in map(Path, listed.splitlines()):
        if file.parts[0] == "tests" or "tests" in file.parts:
            continue
        text = (ROOT / file).read_text()
        limit = MODULE if file.parts[0].startswith("chapter") else SHARED
        if (lines := len(text.splitlines())) > limit:
            print(f"{file}: {lines} lines (a module here is to have {limit})")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION:
                    print(f"{file}:{node.lineno}: {node.name} has {lines} lines (a function is to have {FUNCTION})")


if __name__ == "__main__":
    main()
