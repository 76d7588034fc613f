"""Settings of the proxy and of the services behind it, which are one image."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from mlsys.iris import LABELS
from mlsys.settings import Settings as ServiceSettings

POLICY = r"^(all|quorum=[1-3]|best_effort)$"
_URLS = r"^https?://[^\s/,@]+(,https?://[^\s/,@]+)*$"


class Settings(ServiceSettings):
    """What they read from the environment."""

    setosa_url: Annotated[
        str, Field(pattern=_URLS, description="The service of setosa, http://host:port; its replicas after commas.")
    ] = "http://127.0.0.1:8000"
    versicolor_url: Annotated[str, Field(pattern=_URLS, description="That of versicolor.")] = "http://127.0.0.1:8001"
    virginica_url: Annotated[str, Field(pattern=_URLS, description="That of virginica.")] = "http://127.0.0.1:8002"
    policy: Annotated[
        str, Field(pattern=POLICY, description="Whose answers are needed: all, quorum=n or best_effort.")
    ] = "best_effort"
    branch_timeout_s: Annotated[
        float,
        Field(gt=0, le=60, description="Seconds that a service has for its answer; less if the request has less."),
    ] = 1.0
    hedge_share: Annotated[
        float, Field(ge=0, le=1, description="Second requests to replicas of who is late, by all requests, at most.")
    ] = 0.1
    branch_wait_s: Annotated[
        float, Field(ge=0, le=3600, description="Seconds that the start waits for all services; it goes without, then.")
    ] = 20.0
    model_path: Annotated[Path, Field(description="The model of a service; the proxy has none.")] = Path(
        "models/iris_binary_setosa/model.onnx"
    )
    model_threads: Annotated[int, Field(ge=1, le=64, description="Threads for one inference.")] = 1

    @model_validator(mode="after")
    def _branches_leave_time_to_answer(self) -> Self:
        if self.branch_timeout_s >= self.request_timeout_s:
            raise ValueError(
                f"BRANCH_TIMEOUT_S={self.branch_timeout_s:g} is not less than REQUEST_TIMEOUT_S="
                f"{self.request_timeout_s:g}, so that a service that hangs would leave no time to answer without it"
            )
        return self

    @property
    def urls(self) -> dict[str, list[str]]:
        """The addresses of each service's replicas, by its species."""
        return {name: getattr(self, f"{name}_url").split(",") for name in LABELS}
