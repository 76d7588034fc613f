"""The routes of the gate: which rules a model's versions must pass."""

from typing import Annotated, Self

import msgspec
from fastapi import APIRouter, Depends
from pydantic import Field, model_validator

from mlsys.database import Database
from mlsys.openapi import example

from . import examples, gate, records
from .access import MayWrite
from .fields import Body, MetricName, Name
from .models import ModelId
from .shapes import GateAnswer
from .tables import Model

Bound = Annotated[float, Field(ge=-1e15, le=1e15)]


class RuleBody(Body):
    """What one metric must be; see gate.Rule."""

    metric: MetricName
    at_least: Bound | None = None
    at_most: Bound | None = None
    may_lose: Annotated[float, Field(ge=0, le=1e15)] | None = None
    higher_is_better: bool = True

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.at_least is None and self.at_most is None and self.may_lose is None:
            raise ValueError("the rule asks for nothing: give at_least, at_most or may_lose")
        return self


class GateBody(Body):
    """The whole gate: what is not given gets its default."""

    aliases: list[Name] = Field(default=["champion"], max_length=100)
    rules: list[RuleBody] = Field(default=[], max_length=100)
    refuse_breaking_signature: bool = True


def add_gates(api: APIRouter, database: Database, may_write: MayWrite) -> None:
    """GET and PUT of /models/{model_id}/gate."""

    @api.get("/models/{model_id}/gate", responses=example(examples.GATE))
    def gate_of(model_id: ModelId) -> GateAnswer:
        """The rules that hold now."""
        with database.session() as session:
            return described(records.get(session, Model, model_id))

    @api.put(
        "/models/{model_id}/gate",
        responses=example(examples.GATE),
        openapi_extra=examples.takes(examples.GATE),
        dependencies=[Depends(may_write)],
    )
    def set_gate(model_id: ModelId, new: GateBody) -> GateAnswer:
        """Set the rules for promotions from now on."""
        with database.session() as session:
            model = records.lock(session, model_id)  # not in the middle of a promotion
            model.gate = new.model_dump()
            return described(model)


def described(model: Model) -> GateAnswer:
    """The gate with its defaults."""
    answer: GateAnswer = msgspec.to_builtins(gate.decode(model.gate))
    return answer
