"""The lock and what is exported from it: no addresses, every package hashed, and the same packages in both."""

import json
import re

import pytest

from mk.bootstrap import SECTIONS
from mk.lock import HEADER, categories
from mlsys.catalogue import ROOT

LOCK = json.loads((ROOT / "Pipfile.lock").read_text())


def test_the_lock_records_no_address() -> None:
    assert LOCK["_meta"]["sources"] == []
    assert "://" not in (ROOT / "Pipfile.lock").read_text()
    assert "[[source]]" not in re.sub(r"#.*", "", (ROOT / "Pipfile").read_text())


@pytest.mark.parametrize("category", categories())
def test_the_export_of_a_category_is_the_locks(category: str) -> None:
    exported = (ROOT / "requirements" / f"{category}.txt").read_text()
    assert exported.startswith(HEADER)
    found = {}
    for line in exported.removeprefix(HEADER).splitlines():
        requirement, *hashes = line.split(" --hash=")
        name, _, version = requirement.partition(";")[0].partition("==")
        found[name.partition("[")[0]] = (f"=={version}", sorted(hashes))
    locked = LOCK[SECTIONS.get(category, category)]
    assert found == {name: (entry["version"], sorted(entry["hashes"])) for name, entry in locked.items()}
    assert all(hashes for _, hashes in found.values())


def test_a_package_has_one_version_in_all_categories() -> None:
    """Else tests, which run with all of them installed, say nothing about an image."""
    versions: dict[str, set[str]] = {}
    for category in categories():
        for name, entry in LOCK[SECTIONS.get(category, category)].items():
            versions.setdefault(name, set()).add(entry["version"])
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_every_package_of_the_pipfile_has_its_reason() -> None:
    names = re.findall(r'^([\w-]+) = ["{]', (ROOT / "Pipfile").read_text(), re.MULTILINE)
    reasons = (ROOT / "docs" / "dependencies.md").read_text()
    missing = [name for name in names if not re.search(rf"\b{re.escape(name)}\b", reasons)]
    assert missing == ["python_version"]
