"""The pytest plugin: what tests of several patterns need. Loaded by the conftest.py in the root."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, deadline_s: float, every_s: float = 0.02) -> T:
    """Call `condition` until its result is true, and return that result.

    Raises: AssertionError naming the condition and its last result after `deadline_s` seconds.
    """
    end = time.monotonic() + deadline_s
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{condition} was still {result!r} after {deadline_s} s")
        time.sleep(every_s)
    return result
