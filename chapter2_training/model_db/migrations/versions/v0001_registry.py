"""Projects, models, versions, experiments, and the promotion log with the trigger that lets it only grow."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE projects (
    id uuid PRIMARY KEY,
    name varchar(128) COLLATE "C" NOT NULL UNIQUE,
    description text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE models (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects,
    name varchar(128) COLLATE "C" NOT NULL UNIQUE,
    description text NOT NULL,
    gate jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ix_models_project_id ON models (project_id);
CREATE TABLE versions (
    id uuid PRIMARY KEY,
    model_id uuid NOT NULL REFERENCES models,
    name varchar(128) COLLATE "C" NOT NULL,
    major integer NOT NULL,
    minor integer NOT NULL,
    patch integer NOT NULL,
    data varchar(128) COLLATE "C" NOT NULL,
    split integer NOT NULL,
    sha256 varchar(64) NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    size_bytes bigint NOT NULL,
    inputs jsonb NOT NULL,
    outputs jsonb NOT NULL,
    document jsonb,
    data_sha256 text,
    code_revision text,
    parameters jsonb NOT NULL,
    metrics jsonb NOT NULL,
    parent_id uuid REFERENCES versions,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (model_id, name),
    UNIQUE (model_id, id)
);
CREATE INDEX ix_versions_order ON versions (model_id, major, minor, patch, data, split);
CREATE INDEX ix_versions_sha256 ON versions (sha256);
CREATE TABLE experiments (
    id uuid PRIMARY KEY,
    model_id uuid NOT NULL REFERENCES models,
    model_version_id uuid,
    parameters jsonb NOT NULL,
    training_dataset text,
    validation_dataset text,
    test_dataset text,
    evaluations jsonb NOT NULL,
    artifact_file_paths jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (model_id, model_version_id) REFERENCES versions (model_id, id)
);
CREATE INDEX ix_experiments_model_id ON experiments (model_id);
CREATE INDEX ix_experiments_model_version_id ON experiments (model_version_id);
"""

LOG = """
CREATE TABLE promotions (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    model_id uuid NOT NULL REFERENCES models,
    alias varchar(128) COLLATE "C" NOT NULL,
    number integer NOT NULL CHECK (number >= 1),
    previous integer GENERATED ALWAYS AS (nullif(number - 1, 0)) STORED,
    kind text NOT NULL CHECK (kind IN ('promote', 'rollback', 'remove')),
    from_version_id uuid,
    to_version_id uuid,
    returns_to integer,
    who text NOT NULL,
    why text NOT NULL,
    at timestamptz NOT NULL,
    findings jsonb NOT NULL,
    override_reason text,
    CHECK ((kind = 'remove') = (to_version_id IS NULL)),
    UNIQUE (model_id, alias, number),
    FOREIGN KEY (model_id, from_version_id) REFERENCES versions (model_id, id),
    FOREIGN KEY (model_id, to_version_id) REFERENCES versions (model_id, id),
    FOREIGN KEY (model_id, alias, previous) REFERENCES promotions (model_id, alias, number),
    FOREIGN KEY (model_id, alias, returns_to) REFERENCES promotions (model_id, alias, number)
);
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: the promotion log only grows', TG_OP, TG_TABLE_NAME;
END $$;
CREATE TRIGGER promotions_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON promotions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(TABLES)
    op.execute(LOG)


def downgrade() -> None:
    """Drop the tables with all that is in them."""
    op.execute("DROP TABLE promotions, experiments, versions, models, projects; DROP FUNCTION refuse_change")
