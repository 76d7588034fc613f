"""What a prediction depends on, and so what is in its key."""

import hashlib
from typing import NamedTuple

Scopes = tuple[str, str]
"""What can be invalidated that holds a key: its model, its item."""


class Key(NamedTuple):
    """What a prediction depends on. `model` is its sha256 or the beginning of it; `item` may be any text."""

    namespace: str
    model: str
    preprocessing: str
    item: str

    def __str__(self) -> str:
        """Of bounded length, and with no character that a caller chose."""
        return f"{self.namespace}:{self.model}:{self.preprocessing}:{_digest(self.item)}"

    @property
    def scopes(self) -> Scopes:
        """Names of its model and of its item, of bounded length too."""
        return f"{self.namespace}:model:{self.model}", f"{self.namespace}:item:{_digest(self.item)}"


def _digest(item: str) -> str:
    return hashlib.blake2b(item.encode(errors="surrogatepass"), digest_size=16).hexdigest()
