"""The tables. What must never happen is made impossible here, by keys and constraints, not by the code that writes.

An alias is no column: it is what the last line of its log says. So two champions cannot be, and what was champion at
any time is a query. migrations/ makes these tables; a test compares the two.
"""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    String,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMED = String(128, collation="C")  # one order for names, whatever the database's language


class Table(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        datetime: TIMESTAMP(timezone=True),
        str: Text,
    }


class Project(Table):
    """What models are made for."""

    __tablename__ = "projects"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str] = mapped_column(NAMED, unique=True)
    description: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Model(Table):
    """One task that versions of a model solve. `gate` is what gate.Gate says, empty for its defaults."""

    __tablename__ = "models"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"), index=True)
    name: Mapped[str] = mapped_column(NAMED, unique=True)
    description: Mapped[str]
    gate: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Version(Table):
    """One model file under a name, and where it comes from. `major` to `split` are its name, for ordering."""

    __tablename__ = "versions"
    __table_args__ = (
        UniqueConstraint("model_id", "name"),
        UniqueConstraint("model_id", "id"),  # what promotions refer to: a version of the same model
        Index("ix_versions_order", "model_id", "major", "minor", "patch", "data", "split"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("models.id"))
    name: Mapped[str] = mapped_column(NAMED)
    major: Mapped[int]
    minor: Mapped[int]
    patch: Mapped[int]
    data: Mapped[str] = mapped_column(NAMED)
    split: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64), CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'"), index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    inputs: Mapped[list[Any]]
    outputs: Mapped[list[Any]]
    document: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    data_sha256: Mapped[str | None]
    code_revision: Mapped[str | None]
    parameters: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    parent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("versions.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Experiment(Table):
    """One training run, as the book has it. `evaluations` and `artifact_file_paths` grow later."""

    __tablename__ = "experiments"
    __table_args__ = (ForeignKeyConstraint(["model_id", "model_version_id"], ["versions.model_id", "versions.id"]),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("models.id"), index=True)
    model_version_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    parameters: Mapped[dict[str, Any]]
    training_dataset: Mapped[str | None]
    validation_dataset: Mapped[str | None]
    test_dataset: Mapped[str | None]
    evaluations: Mapped[dict[str, Any]]
    artifact_file_paths: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Promotion(Table):
    """One line of the log: from then on the alias names `to_version_id`, or nothing (null). A trigger keeps it so.

    number: 1, 2, … for each model and alias; `previous` refers to the line before, so that there is no gap.
    returns_to: number of the line whose version a rollback brings back; null if there is none.
    """

    __tablename__ = "promotions"
    __table_args__ = (
        UniqueConstraint("model_id", "alias", "number"),
        CheckConstraint("number >= 1"),
        CheckConstraint("kind IN ('promote', 'rollback', 'remove')"),
        CheckConstraint("(kind = 'remove') = (to_version_id IS NULL)"),
        ForeignKeyConstraint(["model_id", "from_version_id"], ["versions.model_id", "versions.id"]),
        ForeignKeyConstraint(["model_id", "to_version_id"], ["versions.model_id", "versions.id"]),
        *(
            ForeignKeyConstraint(
                ["model_id", "alias", line], ["promotions.model_id", "promotions.alias", "promotions.number"]
            )
            for line in ("previous", "returns_to")
        ),
    )

    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid.uuid4)
    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("models.id"))
    alias: Mapped[str] = mapped_column(NAMED)
    number: Mapped[int]
    previous: Mapped[int | None] = mapped_column(Computed("nullif(number - 1, 0)", persisted=True))
    kind: Mapped[str]
    from_version_id: Mapped[uuid.UUID | None]
    to_version_id: Mapped[uuid.UUID | None]
    returns_to: Mapped[int | None]
    who: Mapped[str]
    why: Mapped[str]
    at: Mapped[datetime]
    findings: Mapped[list[Any]]
    override_reason: Mapped[str | None]
