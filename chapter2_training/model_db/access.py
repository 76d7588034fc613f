"""Who may write: whoever has the token. Reading needs none."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from mlsys.errors import Unauthorized

from .settings import Settings

MayWrite = Callable[..., Awaitable[None]]


def writers_only(settings: Settings) -> MayWrite:
    """The dependency of every route that writes: it raises Unauthorized without the token."""
    bearer = HTTPBearer(auto_error=False, description="REGISTRY_TOKEN of the server.")
    token = b"" if settings.registry_token is None else settings.registry_token.get_secret_value().encode()

    async def may_write(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        if settings.open_writes:
            return
        if given is None:
            raise Unauthorized("Writing needs the header `Authorization: Bearer <token>`, and the request has none.")
        # In constant time: how long a comparison takes must not tell how much of a guess is right.
        if not hmac.compare_digest(given.credentials.encode(), token):
            raise Unauthorized("The bearer token is not the one of this registry.")

    return may_write
