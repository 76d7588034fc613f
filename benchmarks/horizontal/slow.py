"""A service of the pattern that is slow now and then: SLOW_SHARE of the predictions take SLOW_S seconds more."""

import asyncio
import os
import random

from chapter4_serving_patterns.horizontal_microservice_pattern import service
from mlsys.edge import App, Receive, Scope, Send


def create_app() -> App:
    """The service of MODEL_PATH. Which requests are slow is drawn by SLOW_SEED."""
    app = service.create_app()
    chance = random.Random(int(os.environ["SLOW_SEED"]))  # noqa: S311  # no secret
    share, seconds = float(os.environ["SLOW_SHARE"]), float(os.environ["SLOW_S"])

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/predict" and chance.random() < share:
            await asyncio.sleep(seconds)
        await app(scope, receive, send)

    return slow
