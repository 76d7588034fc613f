"""Images and Compose files: what holds for every pattern's."""

import re
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT

from . import files, imports
from .files import Dockerfile, Yaml

DOCKERFILES = sorted(ROOT.glob("chapter*/*/Dockerfile*"))
OWN = [(pattern, name) for pattern in files.PATTERNS for name in files.built(pattern)]
UNKNOWN_TO_COMPOSE_1_29 = {"develop", "start_interval"}
every_dockerfile = pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
every_pattern = pytest.mark.parametrize("pattern", files.PATTERNS, ids=lambda pattern: pattern.name)
every_own_service = pytest.mark.parametrize(
    ("pattern", "service"),
    [(pattern, files.built(pattern)[name]) for pattern, name in OWN],
    ids=[f"{pattern.name}-{name}" for pattern, name in OWN],
)


@pytest.fixture(autouse=True)
def _where_models_are(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(models.parent)


def test_there_are_patterns_to_look_at() -> None:
    assert DOCKERFILES
    assert OWN


@every_dockerfile
def test_a_dockerfile_fits_on_twenty_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 20


@every_dockerfile
def test_a_dockerfile_needs_no_frontend_from_a_registry(path: Path) -> None:
    assert not re.search(r"^#\s*syntax\s*=", path.read_text(), re.MULTILINE | re.IGNORECASE)


@every_dockerfile
def test_an_image_starts_from_a_named_version_of_its_base(path: Path) -> None:
    for base in Dockerfile(path).all("FROM"):
        assert re.fullmatch(r"[\w./-]+:\d[\w.-]*( AS \w+)?", base), f"{base} is not pinned"


@every_dockerfile
def test_an_image_runs_as_an_unprivileged_user_of_a_fixed_number(path: Path) -> None:
    assert Dockerfile(path).user >= 1000


@every_dockerfile
def test_an_image_starts_its_process_without_a_shell_and_without_a_developers_options(path: Path) -> None:
    command = Dockerfile(path).command
    assert command[0] not in {"sh", "bash", "/bin/sh", "/bin/bash"}
    assert not {"--reload", "--host", "--port"} & set(command), "HOST and PORT say it, in all three ways to run"
    assert not Dockerfile(path).all("ENTRYPOINT")


@every_dockerfile
def test_an_image_installs_what_the_lock_has_in_a_layer_of_its_own(path: Path) -> None:
    found = Dockerfile(path).instructions
    install = next(i for i, (name, text) in enumerate(found) if name == "RUN" and "pip install" in text)
    assert "--require-hashes" in found[install][1]
    copied = [text.split()[-2] for name, text in found[:install] if name == "COPY"]
    assert copied
    assert all(source.startswith("requirements/") for source in copied), (
        "code above it makes every change install again"
    )


@every_dockerfile
def test_an_image_holds_what_its_processes_import(path: Path) -> None:
    """Here everything is installed, so that no other test of this machine would miss a package or a file."""
    dockerfile = Dockerfile(path)
    read, needed = imports.reached(files.modules(path))
    sources = [ROOT / source for source in dockerfile.sources]
    assert not {str(file.relative_to(ROOT)) for file in read if not {file, *file.parents} & set(sources)}
    locks = [source.read_text() for source in sources if source.parent.name == "requirements"]
    installed = {re.split(r"[\[=]", line)[0] for lock in locks for line in lock.splitlines()}
    assert not {min(names): file for names, file in needed.items() if not names & installed}


@every_dockerfile
def test_an_image_listens_to_the_outside_and_reports_to_nobody(path: Path) -> None:
    assert Dockerfile(path).env["HOST"] == "0.0.0.0"  # noqa: S104  # a container's own network
    assert Dockerfile(path).env["ORT_DISABLE_TELEMETRY"] == "1"


@every_dockerfile
def test_what_an_image_copies_exists_and_is_let_through(path: Path) -> None:
    for source in Dockerfile(path).sources:
        place = ROOT / source
        some = [source] if place.is_file() else [str(f.relative_to(ROOT)) for f in place.rglob("*") if f.is_file()]
        assert any(let_through(file) for file in some), f"{source} does not reach the build"
        assert not source.startswith((".", "/"))


def test_the_build_context_is_an_allow_list() -> None:
    assert rules()[0] == "*"


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".env",
        ".venv/bin/python",
        ".pipenv/bin/pipenv",
        "Pipfile.lock",
        "mlflow.db",
        "tests/unit/test_app.py",
        "benchmarks/results/web_single.md",
        "mlsys/__pycache__/app.cpython-311.pyc",
        "chapter4_serving_patterns/web_single_pattern/.env",
        "chapter4_serving_patterns/web_single_pattern/.run/web.log",
        "chapter4_serving_patterns/web_single_pattern/tests/test_app.py",
        "chapter4_serving_patterns/web_single_pattern/manifests/20-api.yaml",
        "models/iris_svc/model.stamp",
    ],
)
def test_what_no_service_runs_stays_out_of_the_build(path: str) -> None:
    assert not let_through(path)


@every_pattern
def test_compose_builds_every_dockerfile_of_the_pattern(pattern: Path) -> None:
    named = {
        (pattern / s["build"]["context"] / s["build"]["dockerfile"]).resolve() for s in files.built(pattern).values()
    }
    assert named == {path.resolve() for path in pattern.glob("Dockerfile*")}
    assert named


@every_pattern
def test_a_compose_file_is_readable_by_both_versions_of_compose(pattern: Path) -> None:
    document = files.compose(pattern)
    assert not {"name", "version"} & set(document)
    for name, service in document["services"].items():
        keys = set(service) | set(service.get("healthcheck", {}))
        assert not keys & UNKNOWN_TO_COMPOSE_1_29, name
        assert "container_name" not in service, f"{name}: two stacks could not run side by side"
        assert "deploy" not in service, f"{name}: Compose 1.29 ignores it without a word"
        assert all(isinstance(file, str) for file in service.get("env_file", [])), f"{name}: optional files are new"


@every_pattern
def test_every_compose_service_is_limited(pattern: Path) -> None:
    for name, service in files.compose(pattern)["services"].items():
        assert {"mem_limit", "cpus", "pids_limit"} <= set(service), name


@every_own_service
def test_a_compose_service_has_the_patterns_image_and_the_root_as_its_context(pattern: Path, service: Yaml) -> None:
    assert re.fullmatch(rf"{pattern.name}(_\w+)?", service["image"])
    assert (pattern / service["build"]["context"]).resolve() == ROOT


@every_own_service
def test_a_compose_service_has_no_rights_it_does_not_need(pattern: Path, service: Yaml) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "cap_add", "user", "pid", "network_mode"} & set(service)


@every_own_service
def test_a_compose_service_sets_only_what_its_process_reads(pattern: Path, service: Yaml) -> None:
    assert not files.unknown_variables(pattern, service)


@every_own_service
def test_a_refused_start_is_not_repeated_for_ever(pattern: Path, service: Yaml) -> None:
    assert re.fullmatch(r"no|on-failure:[1-5]", service.get("restart", "no"))


@every_own_service
def test_a_compose_service_is_given_longer_to_stop_than_requests_are_given_to_end(pattern: Path, service: Yaml) -> None:
    grace = re.fullmatch(r"(\d+)s", service["stop_grace_period"])
    assert grace
    assert int(grace[1]) > int(files.setting(pattern, service, "DRAIN_TIMEOUT_S"))


@every_own_service
def test_a_published_port_is_the_one_that_the_process_listens_on_and_can_be_moved(pattern: Path, service: Yaml) -> None:
    ports = files.ports(pattern, service)
    assert ports <= set(" ".join(files.dockerfile(pattern, service["image"]).all("EXPOSE")).split())
    for published in service.get("ports", []):
        assert re.fullmatch(rf"\$\{{[A-Z_]+:-\d+\}}:({'|'.join(ports)})", published)


@every_dockerfile
def test_an_image_exposes_nothing_but_the_ports_of_its_processes(path: Path) -> None:
    used = {
        p
        for s in files.built(path.parent).values()
        if s["build"]["dockerfile"].endswith(path.name)
        for p in files.ports(path.parent, s)
    }
    assert set(" ".join(Dockerfile(path).all("EXPOSE")).split()) == used


@every_own_service
def test_a_server_in_compose_is_asked_whether_it_is_ready_by_what_its_image_has(pattern: Path, service: Yaml) -> None:
    routes = files.routes(pattern, service)
    if not routes:
        assert "ports" not in service
        return
    probe = service["healthcheck"]["test"]
    assert probe[:2] == ["CMD", "python"], "the image has neither curl nor wget"
    asked = set(re.findall(r'"(/\w+)"', probe[-1]))
    assert asked == {"/ready"}
    assert asked <= routes
    assert files.setting(pattern, service, "PORT") in probe[-1]


def rules() -> list[str]:
    """The patterns of .dockerignore."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def let_through(path: str) -> bool:
    """Whether a file reaches the build: the last pattern that matches it, or a folder above it, decides.

    tests/containers compares this with what Docker does.
    """
    kept = True
    places = [path, *(str(folder) for folder in Path(path).parents)]
    for rule in rules():
        expression = re.escape(rule.removeprefix("!"))
        expression = expression.replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if any(re.fullmatch(expression, place) for place in places):
            kept = rule.startswith("!")
    return kept
