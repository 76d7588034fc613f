"""Which part of a file a Range header asks for."""

import re

from starlette.exceptions import HTTPException

_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?", re.ASCII)


def part(header: str, size: int) -> tuple[int, int]:
    """First byte and the one after the last that the header asks for, of a file of `size` bytes.

    All of it where the header is empty, asks for several parts, or cannot be understood.

    Raises: HTTPException (416) if the file has no such part. Source: RFC 9110, section 14.
    """
    found = _RANGE.fullmatch(header.strip())
    first, last = found.groups("") if found else ("", "")
    if first:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return 0, size  # the RFC calls it invalid, and an invalid one is to be ignored
    elif last:
        start, stop = max(0, size - int(last)), size
    else:
        return 0, size
    if start >= stop:
        raise HTTPException(
            416, f"the file has {size} bytes, and none in {header[:50]!r}", {"content-range": f"bytes */{size}"}
        )
    return start, stop
