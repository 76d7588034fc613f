"""The demo, against the real registry with its PostgreSQL: promoted, refused and rolled back under load."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlsys.testing import free_port

DIRECTORY = Path(__file__).parents[1]

pytestmark = pytest.mark.e2e


def test_promotions_and_rollbacks_in_the_registry_fail_no_request() -> None:
    shown = subprocess.run(["make", "demo"], cwd=DIRECTORY, capture_output=True, text=True, check=False, timeout=240)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for phase in ("before", "the swap", "after", "a model is refused", "the rollback", "all"):
        row = re.search(rf"│ {phase} +│ +([\d,]+) +│ +(\d+) +│", shown.stdout)
        assert row, shown.stdout
        assert int(row[1].replace(",", "")) > 20
        assert row[2] == "0", shown.stdout
    said = re.sub(r"[\s│]+", " ", shown.stdout)
    assert "champion is 1.1.0-iris.0 now" in said
    assert "/ready, still 200: ok; 1.2.0-iris.0 is refused: its signature is" in said
    assert "rolled back to 1.0.0-iris.0" in said


def test_a_service_that_does_not_answer_is_one_sentence() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "chapter3_release_patterns.model_load_pattern.demo"]
    refused = subprocess.run(
        command,
        cwd=DIRECTORY.parents[1],
        env={"URL": url, "PYTHONPATH": str(DIRECTORY.parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"URL={url}: ")
    assert refused.stderr.count("\n") == 1
