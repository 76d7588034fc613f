"""What is in this repository: patterns, training projects and templates, found by what their folders hold."""

import ast
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parents[1]
ROOT = Path.cwd() if _HERE.name == "site-packages" else _HERE  # installed as a wheel, it serves where it is run


@dataclass(frozen=True)
class Entry:
    """A folder of the catalogue, with the module path that it has (its place below `root`)."""

    root: Path
    directory: Path

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.directory.name

    @property
    def module(self) -> str:
        """Dotted name of the package."""
        return ".".join(self.directory.relative_to(self.root).parts)

    @property
    def settings(self) -> str:
        """Dotted name of the module of its settings: its own or, where it runs a bare model server, that one's."""
        return f"{self.module}.settings" if (self.directory / "settings.py").exists() else "mlsys.server.settings"

    @property
    def intent(self) -> str:
        """The one sentence that its `__init__.py` is, without importing it."""
        return ast.get_docstring(ast.parse((self.directory / "__init__.py").read_text())) or ""


def patterns(root: Path = ROOT) -> list[Entry]:
    """Folders of the chapters that can be run: a package with a Procfile."""
    return [entry for entry in _packages(root) if (entry.directory / "Procfile").exists()]


def projects(root: Path = ROOT) -> list[Entry]:
    """Folders of the chapters that train: a package with a train.py and no Procfile."""
    return [
        entry
        for entry in _packages(root)
        if (entry.directory / "train.py").exists() and not (entry.directory / "Procfile").exists()
    ]


def templates(root: Path = ROOT) -> list[Entry]:
    """Folders of the chapters that make patterns: a package with a new.py."""
    return [entry for entry in _packages(root) if (entry.directory / "new.py").exists()]


def _packages(root: Path) -> list[Entry]:
    return [Entry(root, file.parent) for file in sorted(root.glob("chapter*/*/__init__.py"))]
