"""The jobs that could not be done, and a second chance for them, when the reason is gone.

`list` prints the oldest; `requeue ID` puts one at the end of the queue again, `requeue --all` puts all there.
"""

import argparse
import asyncio
import sys
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from mlsys import logs
from mlsys.errors import MlsysError
from mlsys.redis import connect

from .jobs import Jobs
from .records import Dead
from .settings import Settings

MOST = 1_000_000


def table(letters: list[Dead]) -> Table:
    """The letters, one a line."""
    job = Column("job", no_wrap=True, min_width=36)  # whole, to be copied: where there is little room the others wrap
    shown = Table(job, "since (UTC)", "attempts", "reason", title=f"Dead letters: {len(letters)}")
    for letter in letters:
        since = datetime.fromtimestamp(letter.at_ms / 1000, UTC)
        shown.add_row(letter.id or "(none)", f"{since:%Y-%m-%d %H:%M:%S}", letter.attempts, Text(letter.reason))
    return shown


async def run(arguments: argparse.Namespace, settings: Settings) -> str:
    """Do what was asked, and return the sentence that ends in failure, if any. Raises: MlsysError."""
    async with connect(settings.redis_url) as client:
        jobs = Jobs(client, settings.policy())
        if arguments.verb == "list":
            Console().print(table(await jobs.dead(arguments.count)))
            return ""
        ids = [letter.id for letter in await jobs.dead(MOST)] if arguments.all else arguments.id
        refused = [id_ for id_ in ids if not await jobs.requeue(id_)]
    print(f"Jobs queued again: {len(ids) - len(refused)}.")  # noqa: T201
    names = ", ".join(id_ or "(none)" for id_ in refused)
    return f"Not dead, or the picture is gone: {names}." if refused else ""


def count(text: str) -> int:
    """The value of --count."""
    if not text.isdecimal() or not 0 < int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST}")
    return int(text)


def main() -> None:
    """Exit code 1 and one sentence if something could not be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list").add_argument("--count", type=count, default=100, help="how many at most (100)")
    which = verbs.add_parser("requeue").add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="*", default=[], help="ids of jobs")
    which.add_argument("--all", action="store_true", help="all dead letters")
    arguments = parser.parse_args()
    try:
        settings = Settings(log_level="error")  # the sentence says the same
        logs.configure(settings)
        sentence = asyncio.run(run(arguments, settings))
    except MlsysError as error:
        sentence = str(error)
    if sentence:
        sys.exit(sentence)


if __name__ == "__main__":
    main()
