"""The demo, against the real registry with its PostgreSQL: promoted, refused and rolled back under load."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from mlsys.testing import run_demo

from .conftest import sha256
from .origin import CHAMPION, Origin

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


def test_a_service_that_has_the_demos_model_already_is_one_sentence(origin: Origin, forest: bytes) -> None:
    champion: dict[str, object] = {"id": "1", "model_id": "2", "model_name": "iris_svc", "name": "1.1.0-iris.0"}
    champion |= {"sha256": sha256(forest), "size_bytes": len(forest)}
    origin.files = {
        "/release": json.dumps({"source": origin.alias}).encode(),
        "/metadata": json.dumps({"model": {"sha256": sha256(forest)}}).encode(),
        CHAMPION: json.dumps(champion).encode(),
    }
    refused = run_demo("chapter3_release_patterns.model_load_pattern", origin.url)
    assert refused.returncode == 1
    assert refused.stderr.startswith("The service answers by iris_rf already")
    assert refused.stderr.count("\n") == 1
