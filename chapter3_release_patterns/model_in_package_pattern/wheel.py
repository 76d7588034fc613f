"""Turn models/<name>/model.onnx into a wheel: `python -m chapter3_release_patterns.model_in_package_pattern.wheel`.

The wheel holds data and metadata, no code. The same model, version and lock give the same bytes.
"""

import argparse
import os
import string
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import msgspec
from packaging.version import Version

from mlsys import stamp
from mlsys.catalogue import ROOT
from mlsys.errors import ModelError, StartupError
from mlsys.network import Network

from .claim import CLAIM, MODEL, Claim
from .packages import GROUP
from .releases import RELEASES, Release

DIST = Path(__file__).parent / ".run" / "dist"
_EPOCH = "1580601600"  # of every file in a wheel, unless SOURCE_DATE_EPOCH says otherwise; zip knows none before 1980
_PROJECT = string.Template("""\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "$distribution"
version = "$version"
description = "The model $name as a package: data, no code."
requires-python = ">=3.11"
dependencies = ["onnxruntime$runtime"]

[project.entry-points."$group"]
$name = "$module"

[tool.hatch.build]
ignore-vcs = true  # else the .gitignore above a temporary folder may leave the model out

[tool.hatch.build.targets.wheel]
packages = ["$module"]
""")


def build(release: Release, model: Path, output: Path) -> Path:
    """Write the wheel of a model file into the folder `output`, and return where it is.

    Raises: ModelError if the file is no sound model, or says that it is another; StartupError if the build fails.
    """
    network = Network.load(model)
    if network.metadata and network.metadata.name != release.name:
        raise ModelError(
            f"Model {model} says that it is {network.metadata.name}, not {release.name}: name the right file."
        )
    with tempfile.TemporaryDirectory() as folder:
        project, wheels = Path(folder) / "project", Path(folder) / "wheels"
        _lay_out(project, release, model.read_bytes())
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(project)]
        environment = {"SOURCE_DATE_EPOCH": _EPOCH, **os.environ}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
            reason = " ".join(said[-3:])  # the last two are a hint and that it failed
            raise StartupError(f"The wheel of {release.name} could not be built: {reason}")
        (built,) = wheels.iterdir()
        output.mkdir(parents=True, exist_ok=True)
        stamp.replace(output / built.name, built.read_bytes())
        return output / built.name


def _lay_out(project: Path, release: Release, content: bytes) -> None:
    """The source tree that the wheel is built from."""
    claim = Claim.of(release.name, release.version, content)
    values = {
        "name": release.name,
        "version": release.version,
        "distribution": release.distribution,
        "module": release.module,
        "group": GROUP,
        "runtime": _runtime(),
    }
    package = project / release.module
    package.mkdir(parents=True)
    (project / "pyproject.toml").write_text(_PROJECT.substitute(values))
    (package / "__init__.py").write_text(f'"""The model {release.name} {release.version}: {MODEL} and {CLAIM}."""\n')
    (package / CLAIM).write_bytes(msgspec.json.encode(claim))
    (package / MODEL).write_bytes(content)


def _runtime() -> str:
    """The runtimes that the model may be used with: from the one that has just opened it to the next major one."""
    version = Version(metadata.version("onnxruntime"))
    return f">={version.major}.{version.minor},<{version.major + 1}"


def main() -> None:
    """Build what the arguments name, by default all that releases.py does; print the files, one a line."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__)
    parser.add_argument("releases", nargs="*", metavar="NAME==VERSION", help="default: those of releases.py")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="folder of the model folders")
    parser.add_argument("--output", type=Path, default=DIST, help="folder of the wheels")
    options = parser.parse_args()
    try:
        for release in map(Release.parse, options.releases or RELEASES):
            print(build(release, options.models / release.name / MODEL, options.output))  # noqa: T201
    except (StartupError, OSError) as error:  # OSError: a folder that cannot be written, a full disk
        sys.exit(str(error))


if __name__ == "__main__":
    main()
