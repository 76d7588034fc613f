"""A burst of pictures, a worker that hangs amid them, and a queue that gets full: `make demo`, or with URL=http://…."""

import argparse
import collections
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mlsys import address

from .frozen import Frozen, all_stopped
from .traffic import NONSENSE, Answer, Look, Traffic, body_of, ids, photographs, upload

BURST, FLOOD = 200, 400
WAIT_S = 90.0


def wait(condition: Callable[[], object], what: str) -> None:
    """Until the condition holds; ends the demo if it does not."""
    end = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"Waited {WAIT_S:g} s for {what}.")
        time.sleep(0.02)


def burst(traffic: Traffic, frozen: Frozen) -> tuple[list[Answer], list[dict[str, Any]]]:
    """Send the burst, stop a worker amid it, and wait for the last job: the uploads' answers, and the jobs' ends."""
    sent = [*photographs(BURST // 2), body_of(NONSENSE), *photographs(BURST // 2)]
    with traffic.looking(), ThreadPoolExecutor(1) as beside:
        try:
            freezing = beside.submit(frozen.freeze)
            uploads = upload(traffic, sent)
            traffic.watched = ids(uploads)[-1]
            freezing.result()
            wait(lambda: traffic.looks[-1].watched and not traffic.looks[-1].depth, "the last job")
        finally:
            frozen.thaw()
    jobs = traffic.ask([("GET", f"/job/{job_id}", None) for job_id in ids(uploads)])
    return uploads, [next(iter(job.json.values())) for job in jobs]


def timeline(looks: list[Look]) -> Table:
    """A dozen moments of the burst."""
    table = Table("s", "not done", "held, by worker", "last job: place", "estimate (s)", "truth (s)", title="The queue")
    end = next((look.at for look in looks if look.watched and look.watched["state"] == "done"), looks[-1].at)
    for look in looks[:: max(1, len(looks) // 12)]:
        held = " ".join(str(held) for held in look.workers.values())
        place, estimate = (look.watched or {}).get("position"), (look.watched or {}).get("wait_s")
        shown = ["" if value is None else f"{value:g}" for value in (place, estimate)]
        truth = f"{end - look.at:.1f}" if shown[0] else ""
        table.add_row(f"{look.at:.1f}", str(look.depth), held, *shown, truth)
    return table


def outcomes(uploads: list[Answer], jobs: list[dict[str, Any]], frozen: Frozen) -> str:
    """What the callers got."""
    states = collections.Counter(job["state"] for job in jobs)
    reasons = "; ".join({job["reason"] for job in jobs if job["state"] == "dead"})
    ms = [answer.ms for answer in uploads]
    again = sum(job["attempts"] > 1 for job in jobs)
    hung = (
        f"{again} of them were delivered a second time" if frozen.name else "no worker on this machine could be stopped"
    )
    return (
        f"{len(jobs)} pictures were accepted, p50 {statistics.median(ms):.1f} ms, at most {max(ms):.0f} ms. "
        f"{states['done']} are done, {hung}; {states['dead']} is dead: {reasons}"
    )


def flood(traffic: Traffic) -> str:
    """Send more than the queue takes, if that is less than FLOOD, while nobody works, and delete the jobs again."""
    with all_stopped(traffic) as stopped:
        answers = upload(traffic, photographs(FLOOD))
        deleted = traffic.ask([("DELETE", f"/job/{job_id}", None) for job_id in ids(answers)])
    sent = f"{stopped} workers are stopped, and {FLOOD} more sent:"
    gone = f"{sum(answer.status == 200 for answer in deleted)} jobs were deleted again."
    full = next((answer for answer in answers if answer.status == 429), None)
    if not full:
        return f"{sent} all were accepted, because MAX_QUEUE is larger than what waits of them. {gone}"
    refused, said = sum(answer.status == 429 for answer in answers), full.json["error"]["message"]
    return f"{sent} {refused} got 429 with Retry-After: {full.headers['retry-after']}. {said} {gone}"


def main() -> None:
    """Print what the functions above found; with --save draw it too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write img/queue.png")
    save = parser.parse_args().save
    traffic = Traffic(address.netloc())
    frozen = Frozen(traffic)
    try:
        uploads, jobs = burst(traffic, frozen)
        Console().print(timeline(traffic.looks), outcomes(uploads, jobs, frozen), flood(traffic), sep="\n")
    except OSError as error:
        sys.exit(f"URL={os.environ['URL']} does not answer: {error}.")
    if save:
        from .picture import draw

        draw(traffic.looks, frozen.events, len(jobs), Path(__file__).parent / "img" / "queue.png")


if __name__ == "__main__":
    main()
