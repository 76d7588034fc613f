"""What conditional headers and Range headers ask for. Source: RFC 9110, sections 13 and 14."""

import re

from starlette.exceptions import HTTPException

_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?", re.ASCII)


def unchanged(header: str, tag: str) -> bool:
    """Whether the If-None-Match header names this ETag: then the caller has what would be answered."""
    known = [one.strip().removeprefix("W/") for one in header.split(",")]
    return tag in known or "*" in known


def part(header: str, size: int) -> tuple[int, int]:
    """First byte and the one after the last that the header asks for, of a file of `size` bytes.

    All of it where the header is empty, asks for several parts, or cannot be understood.

    Raises: HTTPException (416) if the file has no such part.
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
