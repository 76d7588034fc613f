"""The lesson: model packages that are installed are found by their metadata, verified, and opened as data.

A model package is an ordinary distribution. It announces its model by an entry point of the group `mlsys.models`, which
names the import package that holds two files: the model, and what was known of it when it was built. Nothing else is
agreed: the package needs no code, and the service needs no list of models. pip decides which version is there. That it
is whole, and the runtime one that it was built for, is checked here: pip checks both only while it installs.
"""

import importlib.resources
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from importlib.resources.abc import Traversable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from mlsys.errors import ModelError
from mlsys.network import Network

from . import claim

GROUP = "mlsys.models"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # what /v2/models/NAME can address


@dataclass(frozen=True)
class Package:
    """One installed model package, by its metadata alone: nothing of it has been imported or read.

    name: the model's, and the entry point's. distribution, version: as `pip list` says. requires: as it needs others.
    """

    name: str
    distribution: str
    version: str
    requires: tuple[str, ...]
    place: str
    point: metadata.EntryPoint

    def open(self, *, threads: int = 1) -> Network:
        """The model, verified and warmed up, with `threads` threads for one inference.

        Raises: ModelError, with the package and the reason, if a distribution that it needs is missing or out of range,
        its import fails, a file is missing, or the model is not the one that was built, or not a sound one.
        """
        try:
            for requirement in self.requires:
                _require(requirement)
            files = self._files()
            content = claim.model(files, self.name, self.version)
            network = Network(Path(str(files / claim.MODEL)), content, threads=threads)
            network.warm_up()
        except ModelError as error:
            raise ModelError(
                f"Model package {self.distribution} {self.version} in {self.place} cannot be used: {error}. "
                f"Install it again, or remove it by `pip uninstall {self.distribution}`."
            ) from error
        return network

    def _files(self) -> Traversable:
        try:
            return importlib.resources.files(self.point.load())
        except (Exception, SystemExit) as error:  # an import runs whatever code the package has
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ModelError(f"its entry point {self.name} = {self.point.value} cannot be imported ({said})") from error


def find(place: Path | None = None) -> list[Package]:
    """The model packages of this environment, or of one folder or wheel of its path, by the names of their models.

    Raises: ModelError if two distributions offer a model of the same name, or one is there in two versions.
    """
    found: dict[str, Package] = {}
    for package in _announced([str(place)] if place else sys.path):
        known = found.setdefault(package.name, package)
        if known.distribution != package.distribution:
            both = f"{known.distribution} and {package.distribution}"
            raise ModelError(f"Model {package.name} is in two packages, {both}: uninstall one of them.")
        if known.place == package.place and known != package:
            both = f"{known.version} ({known.point.value}) and {package.version} ({package.point.value})"
            both += f" of {known.distribution}"
            raise ModelError(f"{known.place} has {both}, as a killed pip leaves it: make it anew.")
    return sorted(found.values(), key=lambda package: package.name)


def _announced(path: list[str]) -> Iterable[Package]:
    for distribution in metadata.distributions(path=path):  # in its order: the first is what an import finds
        place = str(distribution.locate_file("")).rstrip("/")
        try:
            points = distribution.entry_points.select(group=GROUP)
        except (TypeError, ValueError) as error:  # a line without "=", or bytes that are no text
            name, _, _ = _about(distribution, place)
            raise ModelError(f"The entry points of {name} in {place} cannot be read.") from error
        for point in points:
            name, version, needs = _about(distribution, place)
            if not NAME.fullmatch(point.name):
                raise ModelError(f"{place} has {name} that offers {point.name[:80]!r}, which is no name.")
            yield Package(point.name, name, version, needs, place, point)


def _about(distribution: metadata.Distribution, place: str) -> tuple[str, str, tuple[str, ...]]:
    try:
        about = distribution.metadata
        name = canonicalize_name(about["Name"], validate=True)
        return name, str(Version(about["Version"])), tuple(distribution.requires or ())
    except (TypeError, ValueError, KeyError, OSError) as error:  # there is none, or bytes that are no text
        raise ModelError(f"{place} has a model package whose METADATA are missing or damaged: make it anew.") from error


def _require(text: str) -> None:
    try:
        needed = Requirement(text)
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            return
        there = metadata.version(needed.name)
    except ValueError as error:  # of packaging: the text, its marker, or the version that is there
        raise ModelError(f"its requirement {text!r} is none") from error
    except metadata.PackageNotFoundError as error:
        raise ModelError(f"it needs {text}, which is not installed") from error
    if not needed.specifier.contains(there, prereleases=True):
        raise ModelError(f"it needs {text}, and {there} is installed")
