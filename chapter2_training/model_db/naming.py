"""Version names, `x.y.z-data.split`: which release of the model's code, trained on which data, split how.

`1.4.0-iris.2` is release 1.4.0, trained on the second split of the data set iris. x changes when callers must change,
y when the model can more, z when it is trained again. The form is one of SemVer's, and so is the order.
"""

import re
from typing import NamedTuple, Self

from mlsys.errors import InvalidInput

FORM = "x.y.z-data.split"
EXAMPLE = "1.4.0-iris.2"
_NUMBER = r"(0|[1-9][0-9]{0,8})"
_NAME = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}-([A-Za-z][A-Za-z0-9-]{{0,63}})\.{_NUMBER}")


class VersionName(NamedTuple):
    """A parsed name. Names are ordered as these tuples are, `data` by its ASCII codes.

    That is the precedence of SemVer 2.0.0, section 11, `data` and `split` being two pre-release identifiers: `data`
    begins with a letter, so that it is never one that SemVer compares as a number.
    """

    major: int
    minor: int
    patch: int
    data: str
    split: int

    @classmethod
    def parse(cls, name: str) -> Self:
        """Raises: InvalidInput if it is not of this form, or a number has more than nine digits."""
        if not (found := _NAME.fullmatch(name)):
            raise InvalidInput(
                f"{name[:100]!r} is no version name: it has the form {FORM}, as in {EXAMPLE}: three numbers "
                "without leading zeros, the data set's name (it begins with a letter), and the number of its split."
            )
        major, minor, patch, data, split = found.groups()
        return cls(int(major), int(minor), int(patch), data, int(split))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}-{self.data}.{self.split}"
