"""The floor: what uvicorn and HTTP cost where nothing is done. Alone in a module, so that its memory is its own."""

import os

from mlsys.edge import App, Receive, Scope, Send


def bare() -> App:
    """Reads the body and sends a constant: the environment variable ANSWER."""
    answer = os.environ["ANSWER"].encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError("Only HTTP is served.")  # by the ASGI specification, how an app declines lifespan events
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app
