"""Two jobs share a run, one is killed in the middle of it, and no row is predicted twice: `make demo`, or URL=http://….

At a URL: with DATABASE_URL, and where nobody minds 400,000 items more and a pass over all of them.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from mlsys import address
from mlsys.catalogue import ROOT

ROWS, BAD = 400_000, 40
PACKAGE = "chapter4_serving_patterns.batch_pattern"
_WAIT_S = 90.0


class Look:
    """Asks the API."""

    def __init__(self, netloc: str) -> None:
        self._netloc = netloc
        self.port = http.client.HTTPConnection(netloc).port
        self.began = time.monotonic()

    def get(self, path: str) -> Any:  # noqa: ANN401  # an answer's JSON
        """The answer, decoded. Raises: OSError, also if it is a refusal."""
        with closing(http.client.HTTPConnection(self._netloc, timeout=10)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        if response.status != 200:
            raise OSError(f"{path} is answered by {response.status} {body[:200].decode(errors='replace')}")
        return json.loads(body)

    def done(self, after: int) -> tuple[float, int, int]:
        """Seconds since the beginning, and rows that are done and left of the run that comes after another."""
        run = self.get("/progress")
        if (run["run"] or 0) <= after:
            return time.monotonic() - self.began, 0, 0
        return time.monotonic() - self.began, run["predicted"] + run["quarantined"], run["remaining"]


def database_url(port: int) -> str:
    """DATABASE_URL, or that of the pattern that serves on the port of this machine."""
    if given := os.environ.get("DATABASE_URL"):
        return given
    for process in psutil.process_iter():
        try:
            around = process.environ()
            if f"{PACKAGE}.schedule" in process.cmdline() and around.get("PORT") == str(port):
                return around["DATABASE_URL"]
        except psutil.Error:  # another user's, or gone
            continue
    sys.exit(f"No database is known: nothing of batch_pattern runs here with PORT={port}. Set DATABASE_URL.")


def start(environment: dict[str, str], *words: str) -> "subprocess.Popen[str]":
    """One of the pattern's programs."""
    command = [sys.executable, "-m", *words]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def share(look: Look, after: int, environment: dict[str, str]) -> tuple[list[tuple[float, int, str]], list[int]]:
    """The run, looked at: (seconds, rows done, what happened); and what each process says that it has done."""
    seen: list[tuple[float, int, str]] = []
    jobs = [start(environment, f"{PACKAGE}.job") for _ in range(2)]
    total, killed, end = ROWS + BAD, False, time.monotonic() + _WAIT_S
    while True:
        at, done, left = look.done(after)
        what = ""
        if not killed and left and done > total * 0.3:
            jobs[0].kill()
            killed, what = True, "kill -9 of one of the two"
        elif killed and len(jobs) == 2:
            jobs.append(start(environment, f"{PACKAGE}.job"))
            what = "another one is started"
        seen.append((at, done, what))
        if killed and not left and len(jobs) == 3:
            break
        if any(job.poll() for job in jobs[killed:]):
            sys.exit(f"A job has ended, with {[job.poll() for job in jobs]}.")
        if time.monotonic() > end:
            sys.exit(f"Waited {_WAIT_S:g} s for the run; {left} rows are left.")
        time.sleep(0.05)
    said = [job.communicate(timeout=_WAIT_S)[0] for job in jobs[1:]]
    return seen, [int(lines.rsplit('"by_this_process":', 1)[-1].split(",")[0]) for lines in said if "by_this" in lines]


def timeline(seen: list[tuple[float, int, str]]) -> Table:
    """A dozen moments, and those at which something happened."""
    table = Table("s", "rows done", "", title=f"A run over {ROWS:,} flowers and {BAD} rows that are none")
    moments = [look for look in seen if look[1]]
    for number, (at, done, what) in enumerate(moments):
        if what or number % max(1, len(moments) // 10) == 0 or number == len(moments) - 1:
            table.add_row(f"{at - moments[0][0]:.2f}", f"{done:,}", what)
    return table


def main() -> None:
    """Print what happened; with --save draw it too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write img/run.png")
    save = parser.parse_args().save
    look = Look(address.netloc())
    try:
        before, last = look.get("/counts"), look.get("/progress")["run"]
        environment = os.environ | {"DATABASE_URL": database_url(look.port), "LOG_FORMAT": "json", "RETRY": "none"}
        environment["RUN_NAME"] = uuid.uuid4().hex
        if start(environment, f"{PACKAGE}.load", str(ROWS), "--bad", str(BAD)).wait():
            sys.exit("The items could not be loaded.")
        seen, by_process = share(look, last or 0, environment)
        after, run = look.get("/counts"), look.get("/progress")
    except OSError as error:
        sys.exit(f"URL={os.environ['URL']} does not answer: {error}.")
    predicted, quarantined = (after[name] - before[name] for name in ("predicted", "quarantined"))
    Console().print(
        timeline(seen),
        f"{predicted:,} rows were predicted and {quarantined} quarantined: {ROWS + BAD:,} in all, "
        f"{after['unpredicted'] - after['quarantined']} are left, and 0 can be there twice, by the primary key.",
        f"The chunks count {run['predicted'] + run['quarantined'] - run['rows']:+d} rows more than were to do; the "
        f"processes that lived did {' and '.join(f'{rows:,}' for rows in by_process)}, the killed one the rest.",
        f"{run['rows_per_s']:,.0f} rows/s from the plan to the end.",
        sep="\n",
    )
    if save:
        from .picture import draw

        draw(seen, ROWS + BAD, Path(__file__).parent / "img" / "run.png")


if __name__ == "__main__":
    main()
