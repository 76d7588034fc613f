"""One of the services as the proxy sees it: its routes, and what can be an answer of it."""

from collections.abc import Coroutine, Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from mlsys.errors import BadGateway, NotReady
from mlsys.upstream import Upstream

T = TypeVar("T")
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
_ROUNDING = 1e-4  # the services answer in float32


class Prediction(msgspec.Struct, forbid_unknown_fields=True):
    """Probabilities of one species and of all others."""

    prediction: tuple[Probability, Probability]


class Health(msgspec.Struct):
    """What a service that is well says."""

    health: str


class WrongService(BadGateway):
    """The service at an address tells another species than the one that the address is set for."""


class Client:
    """The service of one species at one address. It is asked which species it tells before it is believed.

    And again after its connection was lost: what answers there next may be another one.
    """

    def __init__(self, species: str, upstream: Upstream) -> None:
        self._species = species
        self._upstream = upstream
        self._known = False
        self._labels = msgspec.json.Decoder(Mapping[str, str])
        self._predictions = msgspec.json.Decoder(Prediction)
        self._healths = msgspec.json.Decoder(Health)

    async def predict(self, flower: bytes, timeout_s: float) -> Prediction:
        """The answer to a flower, as JSON. Raises: DeadlineExceeded, NotReady, BadGateway."""
        await self.introduce(timeout_s)
        return self._checked(await self._heard(self._upstream.post("/predict", flower, timeout_s=timeout_s)))

    async def predict_test(self, _: bytes, timeout_s: float) -> Prediction:
        """The answer to its own sample. Raises: as `predict`."""
        await self.introduce(timeout_s)
        return self._checked(await self._heard(self._upstream.get("/predict/test", timeout_s=timeout_s)))

    async def health(self, _: None, timeout_s: float) -> Health:
        """What it says of itself. Raises: as `predict`."""
        await self.introduce(timeout_s)
        return self._decoded(self._healths, await self._heard(self._upstream.get("/health", timeout_s=timeout_s)))

    async def introduce(self, timeout_s: float) -> None:
        """Ask which species it tells, unless that is known. Raises: as `predict`; WrongService if it is another one."""
        if self._known:
            return
        labels = self._decoded(self._labels, await self._upstream.get("/label", timeout_s=timeout_s))
        if labels.get("0") != self._species:
            raise WrongService(f"The service at {self._upstream.url} tells {labels.get('0')!r}, not {self._species!r}.")
        self._known = True

    async def _heard(self, answer: Coroutine[Any, Any, bytes]) -> bytes:
        try:
            return await answer
        except NotReady as error:
            if error.__cause__:  # there was no answer: one of 503 has no cause
                self._known = False
            raise

    def _checked(self, answer: bytes) -> Prediction:
        found = self._decoded(self._predictions, answer)
        if abs(sum(found.prediction) - 1) > _ROUNDING:
            raise BadGateway(f"{self._species} answered {list(found.prediction)}, which does not add up to 1.")
        return found

    def _decoded(self, decoder: "msgspec.json.Decoder[T]", answer: bytes) -> T:
        try:
            return decoder.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadGateway(f"{self._species} answered {answer[:100]!r}: {error}.") from error
