"""The address of a running pattern, as a person names it to a demo by URL=http://host:port."""

import os
import sys
from urllib.parse import urlsplit


def url() -> str:
    """What URL names, without a slash at its end. Raises: SystemExit with one sentence if it has another form."""
    given = os.environ["URL"]
    try:
        parts = urlsplit(given)
        good = parts.scheme == "http" and parts.hostname and parts.port != 0 and parts.path in ("", "/")
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        sys.exit(f"URL={given} is not of the form http://host:port.")
    return given.rstrip("/")


def netloc() -> str:
    """The `host:port` of it, for `http.client`. Raises: as `url`."""
    return urlsplit(url()).netloc
