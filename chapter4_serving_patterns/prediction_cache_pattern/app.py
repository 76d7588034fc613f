"""Assembly and routes: the book's, the items, and what invalidates."""

import re
from typing import Annotated

from fastapi import Depends, Path
from msgspec import UNSET

from mlsys.cifar10 import LABELS
from mlsys.errors import NotFound
from mlsys.openapi import example
from mlsys.remote import RemoteModel

from . import describe
from .access import with_token
from .model import Model
from .prediction import Prediction
from .service import CachedService
from .settings import Settings

SAMPLE = "0000"
_VERSION = re.compile(r"[0-9a-f]{12,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def create_app(settings: Settings | None = None) -> CachedService:
    """The service. It answers nobody before it knows which model there is. Raises: SettingsError, StartupError."""
    settings = settings or Settings()
    return assemble(settings, RemoteModel(settings.model_target, settings.model_name))


def assemble(settings: Settings, model: Model) -> CachedService:
    """The service in front of a model, wherever that is. Raises: as `create_app`."""
    service = CachedService(settings, model)
    add_description(service)
    add_predictions(service)
    add_invalidations(service, settings)
    return service


def add_description(service: CachedService) -> None:
    """The routes that say what the service takes and gives."""
    about = describe.metadata("cifar10_large", "0123456789ab", describe.PREDICTION)

    @service.get("/metadata", responses=example(about) | describe.refused(502))
    async def metadata() -> describe.Metadata:
        """Types of input and output, with samples, and the model's name and version."""
        prediction = await service.predict_item(SAMPLE)
        declared = await service.classifier.declared()
        return describe.metadata(declared.name, declared.version, prediction.probabilities)

    @service.get("/label", responses=example(list(LABELS)))
    async def label() -> list[str]:
        """The classes, in the order of the probabilities."""
        return list(LABELS)

    @service.get("/items", responses=example([describe.ITEM]))
    async def items() -> list[describe.ItemRow]:
        """The items that can be named by their id."""
        return [describe.row(item) for item in service.catalogue]


def add_predictions(service: CachedService) -> None:
    """The routes that predict: the sample, an item, a picture."""

    async def predicted(asked: describe.Asked) -> Prediction:
        if asked.image_data is not UNSET:
            return await service.predict_picture(asked.image_data)
        return await service.predict_item(str(asked.data))

    @service.get("/predict/test", responses=example({"prediction": describe.PREDICTION}) | describe.refused(502))
    async def predict_test() -> describe.Probabilities:
        """Probabilities of item 0000."""
        return {"prediction": (await service.predict_item(SAMPLE)).probabilities}

    @service.get("/predict/test/label", responses=example({"prediction": "cat"}) | describe.refused(502))
    async def predict_test_label() -> describe.Label:
        """Class of item 0000."""
        return {"prediction": (await service.predict_item(SAMPLE)).label}

    @service.fast_post("/predict")
    async def predict(asked: describe.Asked) -> describe.Probabilities:
        """Probabilities of an item, or of a picture."""
        return {"prediction": (await predicted(asked)).probabilities}

    @service.fast_post("/predict/label")
    async def predict_label(asked: describe.Asked) -> describe.Label:
        """Class of an item, or of a picture."""
        return {"prediction": (await predicted(asked)).label}


def add_invalidations(service: CachedService, settings: Settings) -> None:
    """The routes after which nothing made before is answered any more."""
    guarded = [Depends(with_token(settings.cache_token))]
    answers = describe.refused(401, 404)

    @service.delete(
        "/cache/items/{item}", dependencies=guarded, responses=example({"invalidated": "item 0000"}) | answers
    )
    async def forget_item(
        item: Annotated[str, Path(examples=["0000"], description="An item's id, or the sha256 of a picture's file.")],
    ) -> describe.Invalidated:
        """Forget the predictions of an item, by whatever model."""
        if _DIGEST.fullmatch(item):
            await service.forget(item=f"sha256:{item}")
        else:
            service.catalogue.content(item)  # NotFound, if there is none
            await service.forget(item=f"id:{item}")
        return {"invalidated": f"item {item}"}

    @service.delete(
        "/cache/models/{version}", dependencies=guarded, responses=example({"invalidated": "model 0123…"}) | answers
    )
    async def forget_model(
        version: Annotated[str, Path(examples=["0123456789ab"], description="12 digits or more of its sha256.")],
    ) -> describe.Invalidated:
        """Forget the predictions of a model, of whatever item."""
        if not _VERSION.fullmatch(version):
            raise NotFound(f"{version[:80]!r} is no model's version: that is 12 to 64 of the digits of its sha256.")
        await service.forget(model=version[:12])
        return {"invalidated": f"model {version[:12]}"}
