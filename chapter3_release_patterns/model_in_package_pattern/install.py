"""Build the model packages and install them into a folder: `python -m ….install --site DIRECTORY [NAME==VERSION …]`.

The folder is what PYTHONPATH names: the packages of one release, and nothing else. Who is killed here leaves the old
ones, the new ones or none there, never a mixture.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from mlsys.catalogue import ROOT
from mlsys.errors import StartupError

from .claim import MODEL
from .releases import RELEASES, Release
from .wheel import DIST, build

SITE = Path(__file__).parent / ".run" / "site"


def install(wheels: Iterable[Path], site: Path) -> None:
    """Have these wheels, and nothing else, in the folder `site`. pip looks at no index, and at no other wheel.

    Raises: StartupError with pip's last words; `site` is then as it was.
    """
    site.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{site.name}-", dir=site.parent) as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        # A person's own settings, in files or as PIP_USER, PIP_REQUIRE_HASHES and the like, are about other packages.
        pip = [sys.executable, "-m", "pip", "install", "--isolated", "--quiet", "--disable-pip-version-check"]
        # --no-deps: what serves is there already; that it is what the packages ask for is checked when they are opened.
        command = [*pip, "--no-index", "--no-deps", "--no-compile", "--target", str(new), *map(str, wheels)]
        environment = os.environ | {"PIP_CONFIG_FILE": os.devnull}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StartupError(f"pip could not install into {site}: {(done.stderr.strip() or '?').splitlines()[-1]}")
        if site.exists():
            site.rename(old)
        new.rename(site)
        shutil.rmtree(old, ignore_errors=True)


def main() -> None:
    """Build and install what the arguments name, by default all that releases.py does."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__)
    parser.add_argument("releases", nargs="*", metavar="NAME==VERSION", help="default: those of releases.py")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="folder of the model folders")
    parser.add_argument("--dist", type=Path, default=DIST, help="folder of the wheels")
    parser.add_argument("--site", type=Path, default=SITE, help="folder to install into; what else is in it goes")
    options = parser.parse_args()
    try:
        releases = [Release.parse(text) for text in options.releases or RELEASES]
        wheels = [build(release, options.models / release.name / MODEL, options.dist) for release in releases]
        install(wheels, options.site)
    except (StartupError, OSError) as error:  # OSError: a folder that cannot be written, a full disk
        sys.exit(str(error))
    print(f"{options.site}: {', '.join(wheel.name for wheel in wheels)}")  # noqa: T201


if __name__ == "__main__":
    main()
