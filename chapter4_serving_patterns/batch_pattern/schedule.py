"""A job every EVERY_S seconds, for `make run`: `python -m chapter4_serving_patterns.batch_pattern.schedule`.

In Kubernetes a CronJob does it.
"""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from types import FrameType

from apscheduler.schedulers.blocking import BlockingScheduler

from mlsys import logs
from mlsys.errors import MlsysError
from mlsys.parent import die_with_parent

from .settings import Settings

_JOB = [sys.executable, "-m", "chapter4_serving_patterns.batch_pattern.job"]


class Schedule:
    """The first job at once, one at a time, and none of those missed meanwhile."""

    def __init__(self, every_s: float, command: list[str], first_at: datetime | None = None) -> None:
        self._command = command
        self._job: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._scheduler = BlockingScheduler(timezone=UTC)
        self._scheduler.add_job(
            self._run,
            "interval",
            seconds=every_s,
            next_run_time=first_at or datetime.now(UTC),
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,  # rather late than not: the machine may be busy, or have slept
        )

    def start(self) -> None:
        """Until `stop`, also if that came before."""
        if not self._stopping:
            self._scheduler.start()

    def stop(self, *_: int | FrameType | None) -> None:
        """Have the job end behind its chunk, and begin no other."""
        self._stopping = True
        if self._job:
            self._job.terminate()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _run(self) -> None:
        """One job to its end, in a process of its own, so that its memory is given back and a crash is its own."""
        self._job = subprocess.Popen(self._command, preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGTERM))
        if self._stopping:  # since while it was being started, when there was nothing to end
            self.stop()
        self._job.wait()


def main() -> int:
    """The exit code: 0 after SIGTERM or SIGINT."""
    try:
        settings = Settings()
        logs.configure(settings)
    except MlsysError as error:
        sys.stderr.write(f"Cannot start: {error}\n")
        return 1
    schedule = Schedule(settings.every_s, _JOB)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, schedule.stop)
    schedule.start()
    return 0


if __name__ == "__main__":
    sys.exit(main())
