"""Write the parts of the READMEs that the code knows best: `make docs`; with --check, only say what is out of date.

A part stands between `<!-- NAME: written by `make docs` -->` and `<!-- end -->`; NAME is a function below.
"""

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from mlsys import catalogue
from mlsys.catalogue import ROOT, Entry
from mlsys.settings import Settings

PART = re.compile(r"(<!-- (\w+): written by `make docs` -->\n).*?(<!-- end -->)", re.DOTALL)


def catalogue_table(readme: Path) -> str:
    """The patterns and projects below the README's folder, by chapter where there are several."""
    entries = catalogue.projects() + catalogue.patterns() + catalogue.templates()
    below = [entry for entry in entries if readme.parent in entry.directory.parents]
    several = readme.parent == ROOT
    lines = ["| chapter | pattern | intent |", "|---|---|---|"] if several else ["| pattern | intent |", "|---|---|"]
    for entry in sorted(below, key=lambda entry: entry.directory):
        link = f"[{entry.name}]({entry.directory.relative_to(readme.parent)}/)"
        chapter = f"| {entry.directory.parent.name.partition('_')[0].removeprefix('chapter')} " if several else ""
        lines.append(f"{chapter}| {link} | {entry.intent} |")
    return "\n".join(lines) + "\n"


def configuration_table(readme: Path) -> str:
    """The settings of the README's pattern: its own first, then those of every service."""
    settings = importlib.import_module(Entry(ROOT, readme.parent).settings).Settings
    fields = settings.model_fields
    own = [name for name in fields if name not in Settings.model_fields]
    rows = [_row(name, fields[name]) for name in [*own, *Settings.model_fields]]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows]) + "\n"


PARTS = {"catalogue": catalogue_table, "configuration": configuration_table}


def written(readme: Path) -> str:
    """The README's text as it should be. Raises: KeyError for a part of an unknown name."""
    return PART.sub(lambda part: part[1] + PARTS[part[2]](readme) + part[3], readme.read_text())


def readmes() -> list[Path]:
    """Every README of the repository's own."""
    return [ROOT / "README.md", *sorted(ROOT.glob("chapter*/README.md")), *sorted(ROOT.glob("chapter*/*/README.md"))]


def main() -> None:
    """Write what is out of date, or with --check name it and exit with 1."""
    stale = [readme for readme in readmes() if readme.read_text() != written(readme)]
    for readme in stale:
        if "--check" not in sys.argv:
            readme.write_text(written(readme))
        print(readme.relative_to(ROOT), "is out of date" if "--check" in sys.argv else "written")
    if stale and "--check" in sys.argv:
        sys.exit("Run `make docs`.")


def _row(name: str, field: Any) -> str:  # noqa: ANN401  # pydantic's FieldInfo
    value = field.get_default(call_default_factory=True)
    shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
    default = "(required)" if value is PydanticUndefined else f"`{shown}`" if value != {} else "(none)"
    return f"| `{name.upper()}` | {default} | {field.description} |"


if __name__ == "__main__":
    main()
