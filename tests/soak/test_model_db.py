"""The model registry for longer: it and its migration killed twenty times, and a model of half a gigabyte."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from chapter2_training.model_db.tests.networks import network
from mlsys.registry import Registry, Release
from mlsys.testing import Server
from tests.e2e.registry_load import TARGET, TOKEN
from tests.e2e.test_model_db_faults import Start, environment, killed_under_load, killed_while_migrating, migrated

pytestmark = pytest.mark.soak


def test_a_registry_killed_twenty_times_under_load_loses_nothing(
    serve: Start, database_url: str, tmp_path: Path
) -> None:
    killed_under_load(serve, database_url, tmp_path / "artefacts", kills=20)


def test_a_migration_killed_twenty_times_has_not_happened(database_url: str) -> None:
    killed_while_migrating(database_url, kills=20)


def test_half_a_gigabyte_goes_both_ways_in_the_memory_of_a_small_file(
    serve: Start, database_url: str, tmp_path: Path
) -> None:
    server = serve(TARGET, **environment(migrated(database_url), tmp_path / "artefacts"))
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    file = tmp_path / "model.onnx"
    file.write_bytes(network(columns=4, width=1 << 25))
    registry = Registry(server.url, SecretStr(TOKEN))
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(registry.upload, file)
        slowest, largest = watched(server, process, sent)
        size = file.stat().st_size
        release = Release(id="", model_id="", model="", version="", sha256=sent.result(), size_bytes=size)
        fetched = pool.submit(registry.fetch, release, tmp_path / "fetched")
        slower, larger = watched(server, process, fetched)
    registry.close()
    assert fetched.result().stat().st_size == size > 500_000_000
    print(f"memory {before} to {max(largest, larger)} bytes, slowest answer meanwhile {max(slowest, slower):.3f} s")
    assert max(largest, larger) - before < 50 << 20
    assert max(slowest, slower) < 2


def watched(server: Server, process: psutil.Process, work: "Future[Any]") -> tuple[float, int]:
    """While the work goes on: seconds of the slowest answer of /health, and the largest memory in bytes."""
    slowest, largest = 0.0, 0
    while not work.done():
        began = time.monotonic()
        assert server.get("/health").status == 200
        slowest = max(slowest, time.monotonic() - began)
        largest = max(largest, process.memory_info().rss)
    return slowest, largest
