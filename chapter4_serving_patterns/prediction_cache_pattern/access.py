"""Who may invalidate: whoever has the token. Predictions need none."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from mlsys.errors import Unauthorized

MayInvalidate = Callable[..., Awaitable[None]]


def with_token(token: SecretStr | None) -> MayInvalidate:
    """The dependency of every route that invalidates: it raises Unauthorized without the token, or if there is none."""
    bearer = HTTPBearer(auto_error=False, description="CACHE_TOKEN of the server.")
    expected = token.get_secret_value().encode() if token else b""

    async def may_invalidate(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        if not expected:
            raise Unauthorized("Nobody may invalidate: this service was started without a CACHE_TOKEN.")
        if given is None:
            raise Unauthorized("This needs the header `Authorization: Bearer <token>`, and the request has none.")
        # In constant time: how long a comparison takes must not tell how much of a guess is right.
        if not hmac.compare_digest(given.credentials.encode(), expected):
            raise Unauthorized("The bearer token is not the one of this cache.")

    return may_invalidate
