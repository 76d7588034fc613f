"""Settings of the chain and of its stages, which share one image."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, Json, model_validator

from mlsys.settings import Settings as ServiceSettings

from .rules import Rule, Word

RESERVED = {"stopped_by", "trace"}
"""Keys of the chain's answer beside the stages' names."""
STAGES = (
    '[{"name": "outlier", "url": "http://127.0.0.1:8000"}, {"name": "prediction", "url": "http://127.0.0.1:8001"}, '
    '{"name": "decision", "url": "http://127.0.0.1:8002"}]'
)
RULES = (
    '[{"name": "torn", "lead_below": 0.2, "action": "ask_expert"}, '
    '{"name": "unsure", "top_below": 0.7, "action": "ask_expert"}, {"name": "sure", "action": "accept"}]'
)
Milliseconds = Annotated[float, Field(gt=0, le=3_600_000)]


class StageSettings(BaseModel):
    """One stage: the name of what it finds, where it is, and its time, as `chain.Stage` explains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Word
    url: str
    cap_ms: Milliseconds = 1000
    reserve_ms: Milliseconds = 100


class Settings(ServiceSettings):
    """What the services read from the environment."""

    stages: Annotated[
        Json[tuple[StageSettings, ...]],
        Field(
            default=STAGES,
            validate_default=True,
            min_length=1,
            max_length=16,
            description="The chain: stages in their order, in JSON. `cap_ms` (1000) is the most that one is given, "
            "`reserve_ms` (100) the least that those before must leave it.",
        ),
    ]
    chain_reserve_ms: Annotated[
        float,
        Field(gt=0, le=60_000, description="Milliseconds of a request that no stage gets: to say which was late."),
    ] = 50
    stages_wait_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds that the stages are given to be there at the chain's start.")
    ] = 60.0
    outlier_model_path: Annotated[Path, Field(description="The model file of the stage outlier.")] = Path(
        "models/iris_outlier/model.onnx"
    )
    outlier_below: Annotated[
        float, Field(ge=-1e6, le=1e6, description="Scores below it are outliers, and end the chain.")
    ] = 0.0
    model_path: Annotated[Path, Field(description="The model file of the stage prediction.")] = Path(
        "models/iris_svc/model.onnx"
    )
    model_threads: Annotated[int, Field(ge=1, le=64, description="Threads for one inference.")] = 1
    rules: Annotated[
        Json[tuple[Rule, ...]],
        Field(
            default=RULES,
            validate_default=True,
            min_length=1,
            max_length=100,
            description="What the stage decision does, in JSON: the first rule that holds. Conditions are `top_below`, "
            "`lead_below` and `species`; the last rule has none.",
        ),
    ]
    request_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds a request may take, its body included; then 408 or 504.")
    ] = 2.0

    @model_validator(mode="after")
    def _stages_have_names_and_time(self) -> Self:
        names = [stage.name for stage in self.stages]
        if wrong := sorted({name for name in names if names.count(name) > 1 or name in RESERVED}):
            raise ValueError(f"STAGES has {', '.join(wrong)} more than once, or it is a key of the answer: rename it")
        for stage in self.stages:
            if stage.cap_ms < stage.reserve_ms:
                raise ValueError(
                    f"STAGES gives {stage.name} at most cap_ms={stage.cap_ms:g} and at least "
                    f"reserve_ms={stage.reserve_ms:g}: raise the cap or lower the reserve"
                )
        reserved = self.chain_reserve_ms + sum(stage.reserve_ms for stage in self.stages)
        if reserved >= self.request_timeout_s * 1000:  # also if equal: some of the time has passed by then
            raise ValueError(
                f"CHAIN_RESERVE_MS and the reserves in STAGES sum to {reserved:g} ms, and "
                f"REQUEST_TIMEOUT_S={self.request_timeout_s:g} is not more: no request could reach the last stage"
            )
        return self

    @model_validator(mode="after")
    def _some_rule_always_holds(self) -> Self:
        if not self.rules[-1].always_holds:
            raise ValueError(
                f"RULES ends with {self.rules[-1].name}, which has a condition: end with one that has none"
            )
        for rule, following in pairwise(self.rules):
            if rule.always_holds:
                raise ValueError(
                    f"RULES has {following.name} after {rule.name}, which always holds: no flower would get there"
                )
        return self
