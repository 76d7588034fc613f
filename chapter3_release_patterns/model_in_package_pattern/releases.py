"""Which models are released as packages, and as which versions: edited by whoever releases one.

A version is `MAJOR.MINOR.PATCH+DATA`. MAJOR: callers must change (other inputs, outputs or labels). MINOR: it answers
differently (trained again, on other data, by another method). PATCH: the same answers, packaged anew. DATA: the data
that it was trained on, as PEP 440's local version, so that `==1.1.1` takes any data and `==1.1.1+iris.2026.11` these.
"""

import re
from typing import NamedTuple

from packaging.version import InvalidVersion, Version

from mlsys.errors import StartupError

RELEASES = ("iris_svc==1.1.1+iris.2026.11", "iris_rf==1.0.0+iris.2026.11")


class Release(NamedTuple):
    """A model and the version that it is released as."""

    name: str
    version: str

    @classmethod
    def parse(cls, text: str) -> "Release":
        """`iris_svc==1.1.1+iris.2026.11`. Raises: StartupError if it is of another form."""
        name, _, version = text.partition("==")
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or not _is_release(version):
            raise StartupError(
                f"{text[:200]!r} is no release of a model: write NAME==MAJOR.MINOR.PATCH+DATA, as "
                f"{RELEASES[0]} (DATA: small letters and numbers between dots, no number beginning with 0)."
            )
        return cls(name, version)

    @property
    def distribution(self) -> str:
        """The name by which pip knows it."""
        return f"mlsys-model-{self.name.replace('_', '-')}"

    @property
    def module(self) -> str:
        """The import package, in which the files are."""
        return f"mlsys_model_{self.name}"


def _is_release(version: str) -> bool:
    """Whether it is three numbers and a tag, in the one spelling that packaging tools would give it themselves."""
    try:
        known = Version(version)
    except InvalidVersion:
        return False
    return str(known) == version and bool(known.local) and bool(re.fullmatch(r"\d+\.\d+\.\d+", known.public))
