"""Every README: the fixed headings, the intent, links that lead somewhere, and what the code writes into it."""

import re
from pathlib import Path

import pytest

from mk import docs
from mlsys import catalogue
from mlsys.catalogue import ROOT, Entry

HEADINGS = [
    "Problem",
    "How it works",
    "Run",
    "See it work",
    "Configuration",
    "When to use it, and when not",
    "Failure modes",
    "Scale out",
    "Related patterns",
]
ENTRIES = catalogue.patterns() + catalogue.projects() + catalogue.templates()
each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
each_readme = pytest.mark.parametrize(
    "readme", [*docs.readmes(), *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: str(path.relative_to(ROOT))
)


@each_entry
def test_a_readme_has_the_fixed_headings_and_begins_with_the_intent(entry: Entry) -> None:
    text = (entry.directory / "README.md").read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert re.match(r"# .+\n\n" + re.escape(entry.intent), text)


@each_readme
def test_a_readme_is_short(readme: Path) -> None:
    assert len(readme.read_text().splitlines()) <= 150


@each_readme
def test_every_link_and_picture_is_there(readme: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)", readme.read_text())
    missing = [target for target in targets if "://" not in target and not (readme.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("pattern", catalogue.patterns(), ids=lambda entry: entry.name)
def test_a_pattern_shows_a_picture_and_how_to_run_on_the_first_screen(pattern: Entry) -> None:
    first_screen = "\n".join((pattern.directory / "README.md").read_text().splitlines()[:30])
    assert "```mermaid" in first_screen
    assert "make run" in first_screen


@pytest.mark.parametrize("readme", docs.readmes(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_the_code_writes_is_up_to_date(readme: Path) -> None:
    assert readme.read_text() == docs.written(readme), "run `make docs`"


def test_every_chapter_with_patterns_lists_them() -> None:
    for entry in ENTRIES:
        assert f"[{entry.name}]({entry.name}/)" in (entry.directory.parent / "README.md").read_text()
