"""The routes of aliases: what is champion, who made it so, and the way back."""

import hashlib
import json
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AwareDatetime
from sqlalchemy import select
from sqlalchemy.orm import Session

from mlsys.database import Database
from mlsys.openapi import example

from . import answers, examples, listing, records
from . import promotions as log
from .access import MayWrite
from .fields import Body, Name, Sentence, Text
from .models import ModelId, ModelName
from .ranges import unchanged
from .shapes import PromotionAnswer, VersionAnswer
from .tables import Model, Promotion, Version

Alias = Annotated[Name, Path(description="The alias.", examples=["champion"])]
At = Annotated[
    AwareDatetime | None, Query(description="What it named at this time: ISO 8601 with Z or an offset (+ is %2B).")
]
_PROMOTE = {"version": "1.0.0-iris.2", **examples.WHO_WHY}


class Said(Body):
    """Who does this, and why; both are logged."""

    who: Sentence
    why: Sentence


class NewPromotion(Said):
    """version: uuid or name. override_reason: why the gate's reasons against, if it has any, are to be passed over."""

    version: Text
    override_reason: Sentence | None = None


def add_aliases(api: APIRouter, database: Database) -> None:
    """What aliases name, now and at other times, and the log."""

    @api.get("/models/{model_id}/aliases", responses=example({"champion": examples.VERSION}))
    def aliases(model_id: ModelId) -> dict[str, VersionAnswer]:
        """Each alias of a model with the version that it names now."""
        with database.session() as session:
            present = log.present(session, records.get(session, Model, model_id).id)
            rows = [session.get_one(Version, line.to_version_id) for line in present.values()]
            return dict(zip(present, answers.versions(session, rows), strict=True))

    @api.get("/models/{model_id}/aliases/{alias}", response_model=VersionAnswer, responses=example(examples.VERSION))
    def alias(request: Request, model_id: ModelId, alias: Alias, at: At = None) -> Response:
        """The version that the alias names. With If-None-Match and the last ETag: 304 while nothing changed."""
        with database.session() as session:
            row = log.holder(session, records.get(session, Model, model_id), alias, at)
            return tagged(request, answers.version(session, row))

    @api.get(
        "/models/name/{model_name}/aliases/{alias}", response_model=VersionAnswer, responses=example(examples.VERSION)
    )
    def alias_by_name(request: Request, model_name: ModelName, alias: Alias, at: At = None) -> Response:
        """The same by the model's name: what a service asks again and again."""
        with database.session() as session:
            row = log.holder(session, records.named(session, Model, model_name), alias, at)
            return tagged(request, answers.version(session, row))

    @api.get("/models/{model_id}/promotions", responses=example([examples.PROMOTION]))
    def promotions(
        model_id: ModelId,
        page: listing.Paged,
        alias: Annotated[Name | None, Query(description="Only those of this alias.")] = None,
    ) -> list[PromotionAnswer]:
        """The log of a model, the newest line first, page by page."""
        with database.session() as session:
            query = select(Promotion).where(Promotion.model_id == records.get(session, Model, model_id).id)
            query = query if alias is None else query.where(Promotion.alias == alias)
            rows = listing.fetch(session, query, page, [Promotion.sequence], descending=True)
            return answers.promotions(session, rows)


def add_promotions(api: APIRouter, database: Database, may_write: MayWrite) -> None:
    """What changes an alias: every one of these writes a line of the log."""
    writing = [Depends(may_write)]

    @api.post(
        "/models/{model_id}/aliases/{alias}",
        status_code=201,
        responses=examples.created(examples.PROMOTION),
        openapi_extra=examples.takes(_PROMOTE),
        dependencies=writing,
    )
    def promote(response: Response, model_id: ModelId, alias: Alias, new: NewPromotion) -> PromotionAnswer:
        """Let the alias name a version. 409 with the reasons if the gate refuses; 200 if it does so already."""

        def work(session: Session) -> PromotionAnswer:
            said = {"who": new.who, "why": new.why}
            line, is_new = log.promote(session, model_id, alias, new.version, said, new.override_reason)
            response.status_code = 201 if is_new else 200
            return answers.promotion(session, line)

        return database.run(work)

    @api.post(
        "/models/{model_id}/aliases/{alias}/rollback",
        status_code=201,
        responses=examples.created(examples.PROMOTION),
        openapi_extra=examples.takes(examples.WHO_WHY),
        dependencies=writing,
    )
    def roll_back(model_id: ModelId, alias: Alias, said: Said) -> PromotionAnswer:
        """Let the alias name the version before; once more, the one before that. 409 if there is none."""
        return database.run(
            lambda session: answers.promotion(session, log.roll_back(session, model_id, alias, said.model_dump()))
        )

    @api.delete(
        "/models/{model_id}/aliases/{alias}",
        responses=example(examples.PROMOTION),
        openapi_extra=examples.takes(examples.WHO_WHY),
        dependencies=writing,
    )
    def remove(model_id: ModelId, alias: Alias, said: Said) -> PromotionAnswer:
        """Let the alias name nothing. The log keeps what it named, and a rollback brings it back."""
        return database.run(
            lambda session: answers.promotion(session, log.remove(session, model_id, alias, said.model_dump()))
        )


def tagged(request: Request, answer: VersionAnswer) -> Response:
    """The answer with its ETag, or 304 if the caller has it already."""
    body = json.dumps(answer, ensure_ascii=False).encode()  # not msgspec, which takes no integer over 64 bits
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    if unchanged(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
