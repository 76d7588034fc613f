"""Open every model package of this environment, or of a folder or wheel: `python -m ….validate [PLACE]`.

What the service does at its start, as a step of a release: exit code 0 if all can be served, 1 if one cannot or none is
there. PLACE is searched first, as if it were on PYTHONPATH; then only what is in it counts.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mlsys.errors import ModelError

from . import packages
from .packages import Package


def reports(found: Sequence[Package]) -> tuple[list[str], bool]:
    """A line for each package, and whether all can be served."""
    lines, sound = [], True
    for package in found:
        try:
            what = f"ok, sha256 {package.open().sha256}"
        except ModelError as error:
            what, sound = f"REFUSED: {error}", False
        lines.append(f"{package.name}: {package.distribution} {package.version}: {what}")
    return lines, sound


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__)
    parser.add_argument("place", nargs="?", type=Path, help="folder of an installation, or a wheel")
    given: Path | None = parser.parse_args().place
    place = given.resolve() if given else None
    if place:
        sys.path.insert(0, str(place))
    try:
        found = packages.find(place)
    except ModelError as error:
        sys.exit(str(error))
    if not found:
        sys.exit(f"There is no model package in {given or 'this environment'}.")
    lines, sound = reports(found)
    print(*lines, sep="\n")  # noqa: T201
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
