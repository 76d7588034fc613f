"""The scheduler of `make run`: the first job at once, one at a time, and none left behind."""

import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlsys.testing import eventually

from ..schedule import Schedule

JOB = """
import pathlib, sys, time
file = pathlib.Path(sys.argv[1])
with file.open("a") as log:
    log.write("begun ")
time.sleep(float(sys.argv[2]))
with file.open("a") as log:
    log.write("ended ")
"""


def scheduled(file: Path, every_s: float, seconds: float) -> tuple[Schedule, threading.Thread]:
    schedule = Schedule(every_s, [sys.executable, "-c", JOB, str(file), str(seconds)])
    thread = threading.Thread(target=schedule.start)
    thread.start()
    return schedule, thread


def test_the_first_job_starts_at_once_and_the_next_one_after_it(tmp_path: Path) -> None:
    file = tmp_path / "log"
    schedule, thread = scheduled(file, 0.02, 0.05)
    eventually(lambda: file.exists() and file.read_text().count("ended") >= 3, deadline_s=20)
    schedule.stop()
    thread.join(10)
    assert file.read_text().startswith("begun ended begun ended begun ended"), "one at a time"


def test_a_first_job_whose_moment_was_missed_starts_nevertheless(tmp_path: Path) -> None:
    file = tmp_path / "log"
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)  # the machine was busy, or asleep
    schedule = Schedule(7200, [sys.executable, "-c", JOB, str(file), "0"], first_at=an_hour_ago)
    thread = threading.Thread(target=schedule.start)
    thread.start()
    try:
        eventually(lambda: file.exists() and "ended" in file.read_text(), deadline_s=20)
    finally:
        schedule.stop()
        thread.join(10)


def test_a_stop_before_the_start_is_a_stop(tmp_path: Path) -> None:
    file = tmp_path / "log"
    schedule = Schedule(3600, [sys.executable, "-c", JOB, str(file), "60"])
    schedule.stop()
    thread = threading.Thread(target=schedule.start, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert not file.exists()


def test_a_stop_ends_the_job_and_the_scheduler(tmp_path: Path) -> None:
    file = tmp_path / "log"
    schedule, thread = scheduled(file, 3600, 60)
    eventually(lambda: file.exists() and file.read_text(), deadline_s=20)
    schedule.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert file.read_text() == "begun "
