"""Fill the table of items with flowers: `python -m chapter4_serving_patterns.batch_pattern.load [n] [--bad m]`.

Without a number: ITEMS of them, if there are none yet.
"""

import argparse
import io
import sys

import numpy as np
import psycopg2
import structlog
from numpy.typing import NDArray
from psycopg2.extensions import connection as Connection  # noqa: N812  # it is a class

from mlsys import logs
from mlsys.errors import MlsysError

from . import store
from .settings import Settings

SEED = 5
SPECIES = ((5.0, 3.4, 1.5, 0.2), (5.9, 2.8, 4.3, 1.3), (6.6, 3.0, 5.6, 2.0))
"""Centimetres of a typical flower of each species, in the order of `iris.FEATURES`."""
BAD = (
    None,
    "[null, 3.5, 1.4, 0.2]",
    '["5.1", "3.5", "1.4", "0.2"]',
    "[5.1, 3.5, 1.4]",
    '["Infinity", 3.5, 1.4, 0.2]',
    "[5.1, 3.5, 1.4, 1e400]",
    "[5.1, 3.5, 1.4, 1e39]",
    '{"sepal_length": 5.1}',
    "[5.1, 3.5, 1.4, 1e100000]",
    "[]",
)
"""Values that are no flower, as the column can hold them: NULL, strings, three numbers, infinities, many digits."""
_BLOCK = 100_000


def flowers(count: int, seed: int = SEED) -> NDArray[np.float64]:
    """Flowers [count, 4] around the typical ones, with one decimal."""
    random = np.random.default_rng(seed)
    middle = np.array(SPECIES)[random.integers(0, len(SPECIES), count)]
    found: NDArray[np.float64] = np.maximum(middle + random.normal(0, 0.3, middle.shape), 0.1).round(1)
    return found


def fill(connection: Connection, count: int, bad: int = 0) -> None:
    """Add `count` flowers, then `bad` rows of BAD in turn, in a transaction."""
    with connection, connection.cursor() as cursor:
        for begin in range(0, count, _BLOCK):
            block = flowers(min(_BLOCK, count - begin), SEED + begin)
            lines = "\n".join(map(str, block.tolist())) + "\n"
            cursor.copy_expert("COPY items (values) FROM STDIN", io.StringIO(lines))
        wrong = "".join(f"{BAD[number % len(BAD)] or chr(92) + 'N'}\n" for number in range(bad))
        cursor.copy_expert("COPY items (values) FROM STDIN", io.StringIO(wrong))


def main() -> int:
    """The exit code: 0 when the items are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", help="flowers to add")
    parser.add_argument("--bad", type=int, default=0, help="rows to add that are no flowers (0)")
    options = parser.parse_args()
    try:
        settings = Settings()
        logs.configure(settings)
        database = store.database_of(settings.model_copy(update={"statement_timeout_s": 300.0}))
        with store.connected(database) as connection:
            count, bad = options.count, options.bad
            if count is None:
                with connection, connection.cursor() as cursor:
                    cursor.execute("SELECT FROM items LIMIT 1")
                    count, bad = (0, 0) if cursor.rowcount else (settings.items, bad)
            fill(connection, count, bad)
            structlog.get_logger("batch").info("loaded", items=count, bad=bad)
    except (MlsysError, psycopg2.Error) as error:
        sys.stderr.write(f"The items could not be loaded: {' '.join(str(error).split())}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
