"""What a person sees of an install: pipenv itself is silent when it does not write to a terminal."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path


def say(line: str) -> None:
    """One line on the terminal, at once."""
    print(line, flush=True)


def normal(name: str) -> str:
    """The name of a package as the lock spells it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Progress:
    """One line about an install: rewritten in place on a terminal, printed every few seconds elsewhere."""

    def __init__(self, site: Path, names: set[str]) -> None:
        self.site, self.names = site, names
        self.start = self.said = time.monotonic()
        self.terminal = sys.stdout.isatty()
        say(f"installing {len(self.names)} packages")

    def tick(self) -> None:
        """Say how far it is, when it is time to."""
        now = time.monotonic()
        if now - self.said < (0.2 if self.terminal else 3):
            return
        self.said = now
        have = len({normal(path.name.split("-")[0]) for path in self.site.glob("*.dist-info")} & self.names)
        line = f"installing: {have} of {len(self.names)} packages, {now - self.start:.0f} s"
        print("\r" + line if self.terminal else line, end="" if self.terminal else "\n", flush=True)

    def end(self) -> None:
        """Say how long it took."""
        line = f"installed {len(self.names)} packages in {time.monotonic() - self.start:.0f} s"
        print(("\r" if self.terminal else "") + line.ljust(60 if self.terminal else 0), flush=True)
