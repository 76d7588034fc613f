"""The lesson: model packages that are installed are found by their metadata, verified, and opened as data.

A model package is an ordinary distribution. It announces its model by an entry point of the group `mlsys.models`, which
names the import package that holds two files: the model, and what was known of it when it was built. Nothing else is
agreed: the package needs no code, and the service needs no list of models. pip decides which version is there. That it
is whole, and the runtime one that it was built for, is checked here: pip checks both only while it installs.
"""

import hashlib
import importlib.resources
import re
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from mlsys.errors import ModelError
from mlsys.network import Network

GROUP = "mlsys.models"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # what /v2/models/NAME can address
MODEL, CLAIM = "model.onnx", "model.json"


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the build wrote down. A wheel's RECORD has digests too, but not everything that repackages one keeps it."""

    name: str
    sha256: str
    size_bytes: int


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
            claim, content = _claim(files / CLAIM), _read(files / MODEL)
            _compare("name", claim.name, self.name)
            _compare("size", f"{claim.size_bytes} bytes", f"{len(content)} bytes")
            _compare("sha256", claim.sha256, hashlib.sha256(content).hexdigest())
            network = Network(Path(str(files / MODEL)), content, threads=threads)
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


def find() -> list[Package]:
    """The model packages of this environment, by the names of their models.

    Raises: ModelError if two distributions offer a model of the same name, or one is there in two versions.
    """
    found: dict[str, Package] = {}
    for package in _announced():
        known = found.setdefault(package.name, package)
        if canonicalize_name(known.distribution) != canonicalize_name(package.distribution):
            both = f"{known.distribution} and {package.distribution}"
            raise ModelError(f"Model {package.name} is in two packages, {both}: uninstall one of them.")
        if known.place == package.place and known.version != package.version:
            both = f"{known.version} and {package.version} of {known.distribution}"
            raise ModelError(f"{known.place} has {both}, as a pip that was killed leaves it: make it anew.")
    return sorted(found.values(), key=lambda package: package.name)


def _announced() -> Iterable[Package]:
    for distribution in metadata.distributions():  # in the order of sys.path: the first is what an import finds
        place = str(distribution.locate_file("")).rstrip("/")
        try:
            points = distribution.entry_points.select(group=GROUP)
        except (TypeError, ValueError) as error:  # a line without "=", or bytes that are no text
            raise ModelError(f"The entry points of {distribution.name} in {place} cannot be read.") from error
        for point in points:
            if not distribution.name or not NAME.fullmatch(point.name):
                who = distribution.name or "a package without METADATA"
                raise ModelError(
                    f"{place} has {who} that offers {point.name[:80]!r}: it is no name, or half a package."
                )
            needs = tuple(distribution.requires or ())
            yield Package(point.name, distribution.name, distribution.version, needs, place, point)


def _require(text: str) -> None:
    try:
        needed = Requirement(text)
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            return
        there = metadata.version(needed.name)
    except InvalidRequirement as error:
        raise ModelError(f"its requirement {text!r} is none") from error
    except metadata.PackageNotFoundError as error:
        raise ModelError(f"it needs {text}, which is not installed") from error
    if not needed.specifier.contains(there, prereleases=True):
        raise ModelError(f"it needs {text}, and {there} is installed")


def _claim(file: Traversable) -> Claim:
    try:
        return msgspec.json.decode(_read(file), type=Claim)
    except msgspec.DecodeError as error:
        raise ModelError(f"its {CLAIM} is not what the build writes: {error}") from error


def _read(file: Traversable) -> bytes:
    try:
        return file.read_bytes()
    except (OSError, zipfile.BadZipFile, zlib.error) as error:  # it may be read out of a wheel
        said = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"its {file.name} cannot be read ({said.lower()})") from error


def _compare(what: str, built: str, found: str) -> None:
    if built != found:
        raise ModelError(f"its model was built with the {what} {built} and now has {found}")
