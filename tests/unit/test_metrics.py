"""Metrics of one process here; of several in real processes, since the mode is chosen when the client is imported."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mlsys.metrics import Metrics

ROOT = Path(__file__).parents[2]
WORKER = """
import os, sys
from mlsys.metrics import Metrics
metrics = Metrics()
metrics.show_model("probe", "abc")
metrics.in_flight.inc()
for _ in range(int(sys.argv[1])):
    metrics.observe("GET", "/a", 200, 0.003)
print("said", flush=True)
sys.stdin.read()
"""
READER = "from mlsys.metrics import Metrics; print(Metrics().render().decode())"


def value(text: str, name: str) -> float | None:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def test_requests_and_their_durations_are_counted() -> None:
    metrics = Metrics()
    for seconds in (0.0004, 0.003, 20):
        metrics.observe("GET", "/a", 200, seconds)
    text = metrics.render().decode()
    assert value(text, 'http_requests_total{method="GET",route="/a",status="200"}') == 3
    assert value(text, 'http_request_duration_seconds_bucket{le="0.0005",route="/a"}') == 1
    assert value(text, 'http_request_duration_seconds_bucket{le="0.005",route="/a"}') == 2
    assert value(text, 'http_request_duration_seconds_bucket{le="10.0",route="/a"}') == 2
    assert value(text, 'http_request_duration_seconds_count{route="/a"}') == 3


def test_two_services_in_one_process_do_not_share_their_metrics() -> None:
    one, other = Metrics(), Metrics()
    one.observe("GET", "/a", 200, 0.1)
    assert b'route="/a"' not in other.render()


def test_the_model_served_is_a_gauge_of_one() -> None:
    metrics = Metrics()
    metrics.show_model("probe", "abc")
    assert value(metrics.render().decode(), 'model_info{name="probe",sha256="abc"}') == 1


ABOVE_ALL_PIDS = 1 << 22  # Linux's limit


class Worker:
    """A process that counts some requests, says its gauges and waits."""

    def __init__(self, directory: Path, requests: int) -> None:
        command = [sys.executable, "-c", WORKER, str(requests)]
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(directory)}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe)
        assert self.process.stdout
        assert self.process.stdout.readline() == b"said\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def scrape(directory: Path) -> str:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(directory)}
    command = [sys.executable, "-c", READER]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def test_several_workers_add_up_and_a_dead_one_keeps_its_counts_but_not_its_gauges(tmp_path: Path) -> None:
    workers = [Worker(tmp_path, 3), Worker(tmp_path, 4)]
    try:
        both = scrape(tmp_path)
        workers[0].kill()
        one = scrape(tmp_path)
    finally:
        for worker in workers:
            worker.kill()
    for text, in_flight in ((both, 2), (one, 1)):
        assert value(text, 'http_requests_total{method="GET",route="/a",status="200"}') == 7
        assert value(text, 'http_request_duration_seconds_count{route="/a"}') == 7
        assert value(text, 'model_info{name="probe",sha256="abc"}') == 1
        assert value(text, "http_requests_in_flight") == in_flight


def test_several_scrapes_at_once_may_sweep_the_same_dead_workers(tmp_path: Path) -> None:
    worker = Worker(tmp_path, 1)
    worker.kill()
    (said,) = tmp_path.glob("gauge_livesum_*.db")
    for pid in range(1000):  # enough that the scrapes meet
        (tmp_path / f"gauge_livesum_{ABOVE_ALL_PIDS + pid}.db").write_bytes(said.read_bytes())
    with ThreadPoolExecutor(4) as pool:
        pages = list(pool.map(lambda _: scrape(tmp_path), range(4)))
    assert all(value(page, 'http_requests_total{method="GET",route="/a",status="200"}') == 1 for page in pages)
    assert list(tmp_path.glob(f"gauge_livesum_{str(ABOVE_ALL_PIDS)[:4]}???.db")) == []
