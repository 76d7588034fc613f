"""The pages, in this process, on a real database."""

import re
import uuid
from collections.abc import Iterator, Sequence

import pytest

from mlsys.app import Service
from mlsys.database import Database
from mlsys.settings import Settings
from mlsys.testing import Answer, call

from .. import migrate
from ..pages import add_pages
from . import shelves

SCRIPT = "<script>alert('x')</script>"


def service(database: Database) -> Service:
    app = Service(title="pages", description="Pages alone.", settings=Settings(access_log=False))
    add_pages(app, database)
    return app


@pytest.fixture
def app(database: Database) -> Service:
    return service(database)


@pytest.fixture(scope="module")
def filled(module_database_url: str) -> Iterator[tuple[Service, Sequence[uuid.UUID]]]:
    database = Database(module_database_url)
    migrate.migrate(database)
    yield service(database), shelves.iris(database)
    database.dispose()


def get(app: Service, path: str) -> Answer:
    return call(app, "GET", path, headers={})


def text(app: Service, path: str, status: int = 200) -> str:
    answer = get(app, path)
    assert (answer.status, answer.headers["content-type"]) == (status, "text/html; charset=utf-8"), answer.body
    return answer.body.decode()


def words(page: str) -> str:
    """What a reader sees."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_an_empty_registry_says_that_it_is_empty_and_what_to_do(app: Service) -> None:
    assert "Nothing is registered yet." in text(app, "/")


def test_the_first_page_shows_projects_models_champions_and_the_latest_promotions(
    filled: tuple[Service, Sequence[uuid.UUID]],
) -> None:
    page = words(text(filled[0], "/"))
    assert "chapter2_training" in page
    assert "iris_svc champion 1.2.1-iris.2 8 versions" in page
    assert "iris_rf no champion 1 version" in page
    assert "No model yet." in page
    assert page.index("rolled back") < page.index("gate overridden") < page.index("first")


def test_projects_are_found_by_a_part_of_their_name(filled: tuple[Service, Sequence[uuid.UUID]]) -> None:
    app, _ = filled
    assert "chapter2_training" not in words(text(app, "/?name=VISI"))
    assert "vision" in words(text(app, "/?name=VISI"))
    assert "No project's name contains “%”." in words(text(app, "/?name=%25"))


def test_a_model_shows_aliases_plots_versions_and_the_log(filled: tuple[Service, Sequence[uuid.UUID]]) -> None:
    page = text(filled[0], "/models/iris_svc")
    assert page.count('<figure class="plot">') == 4
    assert "accuracy of 8 versions, from 1.0.0-iris.1: 0.911 to 2.0.0-iris.2: 0.963" in page
    seen = words(page)
    assert (
        "What may become champion: accuracy at least 0.9; accuracy may lose 0; no signature that breaks callers."
        in seen
    )
    assert "champion 1.2.1-iris.2" in seen
    assert re.search(r"challenger 2\.0\.0-iris\.2 [0-9a-f]{12} breaking", seen)
    assert "grace : answers in half the time Overridden because: agreed with the shop" in seen
    assert "accuracy of 1.3.0-iris.2 is 0.951, that of 1.2.1-iris.2 0.958; it may lose 0" in seen


def test_a_version_shows_its_origin_and_what_would_break(filled: tuple[Service, Sequence[uuid.UUID]]) -> None:
    app, ids = filled
    champion, newest = words(text(app, f"/versions/{ids[5]}")), words(text(app, f"/versions/{ids[7]}"))
    assert "it is the champion" in champion
    assert "made from 1.2.0-iris.2" in champion
    assert "iris/2/train.csv" in champion
    assert "breaking signature, champion 1.2.1-iris.2" in newest
    assert "input `input` had the shape [-1, 4] and has [-1, 5]" in newest
    assert "any × 5" in newest
    assert "no earlier version" in newest


def test_a_comparison_shows_what_differs_and_which_is_better(filled: tuple[Service, Sequence[uuid.UUID]]) -> None:
    app, ids = filled
    page = words(text(app, f"/compare?left={ids[5]}&right={ids[6]}"))
    assert "B takes and gives the same as A." in page
    assert "accuracy 0.958 0.951 −0.007 worse" in page
    assert "log_loss 0.15 0.14 −0.01" in page
    assert "breaking" in text(app, f"/compare?left={ids[5]}&right={ids[7]}")
    assert "of 4 differ" in page


def test_what_people_write_stays_text(database: Database, app: Service) -> None:
    with database.session() as session:
        project = shelves.project(session, "project", SCRIPT)
        model = shelves.model(session, project, "model", SCRIPT)
        tensor = {"name": SCRIPT, "datatype": SCRIPT, "shape": [-1]}
        one = shelves.version(
            session,
            model,
            "1.0.0-iris.1",
            {SCRIPT: 0.5},
            parameters={SCRIPT: SCRIPT},
            code_revision=SCRIPT,
            inputs=[tensor],
            outputs=[tensor],
            document={"labels": [SCRIPT]},
        )
        other = shelves.version(session, model, "1.0.1-iris.1", {SCRIPT: 0.75})
        shelves.promoted(session, one, why=SCRIPT, who=SCRIPT, override=SCRIPT)
    for path in (
        "/",
        "/projects/project",
        "/models/model",
        f"/versions/{one.id}",
        f"/compare?left={one.id}&right={other.id}",
    ):
        page = text(app, path)
        assert "<script" not in page, path
        assert "&lt;script&gt;" in page, path
    assert "<script" not in text(app, f"/?name={SCRIPT}")


def test_no_page_may_run_a_script_or_load_anything_from_elsewhere(filled: tuple[Service, Sequence[uuid.UUID]]) -> None:
    app, ids = filled
    for path in ("/", "/models/iris_svc", f"/versions/{ids[5]}", "/models/nothing"):
        answer = get(app, path)
        policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["style-src"] == "'self'"
        assert "script-src" not in policy
        assert not re.findall(r'(?:src|href|action)="(?:[a-z]+:)?//', answer.body.decode())
        assert not re.findall(r'style="|\son\w+="', answer.body.decode())


def test_the_style_sheet_is_kept_by_browsers_until_it_changes(filled: tuple[Service, Sequence[uuid.UUID]]) -> None:
    app, _ = filled
    found = re.search(r'href="(/style\.css\?[0-9a-f]{12})"', text(app, "/"))
    assert found
    style = get(app, found[1])
    assert style.headers["content-type"].startswith("text/css")
    assert "immutable" in style.headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        "/projects/nothing",
        "/models/nothing",
        f"/versions/{uuid.UUID(int=1)}",
        "/versions/nonsense",
        "/versions/1%27%20OR%20%271%27=%271",
        "/models/%00",
        "/models/\x00",
        "/models/é",
        "/models/" + "a" * 10_000,
        "/projects/'; DROP TABLE projects; --",
        f"/compare?left={uuid.UUID(int=1)}&right={uuid.UUID(int=2)}",
        "/compare?left=x&right=y",
        "/models/iris_svc?after=x",
        f"/models/iris_svc?after={uuid.UUID(int=1)}",
    ],
)
def test_what_is_not_there_is_a_page_that_says_so(filled: tuple[Service, Sequence[uuid.UUID]], path: str) -> None:
    page = text(filled[0], path, 404)
    assert "There is no such page" in page
    assert len(page) < 3000


@pytest.mark.parametrize(
    "path",
    [
        "/compare",
        "/compare?left=&right=",
        "/?name=%00",
        "/?after=" + "a" * 10_000,
        "/projects/vision?after=%00",
        "/models/iris_svc?before=x",
        "/models/iris_svc?before=-1",
        "/models/iris_svc?before=" + "9" * 5000,
        "/models/iris_svc?before=" + "0" * 5000,
        "/models/iris_svc?before=²",
    ],
)
def test_a_wrong_query_is_a_page_that_says_what_is_wrong(
    filled: tuple[Service, Sequence[uuid.UUID]], path: str
) -> None:
    assert "This cannot be shown" in text(filled[0], path, 422)


def test_a_path_with_a_slash_in_a_name_is_no_page(filled: tuple[Service, Sequence[uuid.UUID]]) -> None:
    assert get(filled[0], "/models/../iris_svc").error["code"] == "not_found"


def test_projects_and_models_are_shown_page_by_page_each_once(database: Database, app: Service) -> None:
    with database.session() as session:
        for number in range(60):
            project = shelves.project(session, f"project{number:03}")
        for number in range(120):
            shelves.model(session, project, f"model{number:03}")
    assert followed(app, "/", r'href="/projects/(project\d+)">project') == [f"project{n:03}" for n in range(60)]
    assert followed(app, "/projects/project059", r">(model\d+)<") == [f"model{n:03}" for n in range(120)]
    assert "all 120 models" in text(app, "/?after=project049")


def test_versions_and_the_log_are_shown_page_by_page_each_once(database: Database, app: Service) -> None:
    with database.session() as session:
        model = shelves.model(session, shelves.project(session, "project"), "model", gate={})
        for number in range(120):
            shelves.promoted(
                session,
                shelves.version(session, model, f"1.0.{number}-iris.1", {"m": number}),
                "newest",
                why=f"reason{number:03}",
            )
    names = followed(app, "/models/model", r'<th scope="row"><a class="name"[^>]+>([^<]+)<')
    assert names == [f"1.0.{number}-iris.1" for number in reversed(range(120))]
    reasons = followed(app, "/models/model", r"reason\d{3}", of="before")
    assert reasons == [f"reason{number:03}" for number in reversed(range(120))]
    page = text(app, "/models/model")
    assert "of the latest 50 of 120 versions" in words(page)


def test_metrics_at_the_ends_of_what_a_float_can_hold_are_drawn(database: Database, app: Service) -> None:
    with database.session() as session:
        model = shelves.model(session, shelves.project(session, "project"), "model", gate={})
        for number, value in enumerate([1.7e308, -1.7e308, 5e-324, 0.0]):
            shelves.version(session, model, f"1.0.{number}-iris.1", {"m": value})
    assert "1.7e+308" in text(app, "/models/model")


def test_of_very_many_metrics_those_of_the_gate_are_drawn_first_and_no_more_than_a_page_holds(
    database: Database, app: Service
) -> None:
    with database.session() as session:
        gate = {"rules": [{"metric": "m500", "at_least": 0.0}]}
        model = shelves.model(session, shelves.project(session, "project"), "model", gate=gate)
        shelves.version(session, model, "1.0.0-iris.1", {f"m{number:03}": number for number in range(1000)})
    page = text(app, "/models/model")
    assert re.findall(r"<figcaption>(\w+)<", page)[:3] == ["m500", "m000", "m001"]
    assert page.count("<figcaption>") == 24
    assert "976 further metrics" in page


def test_a_model_without_versions_and_a_version_without_anything_are_shown(database: Database, app: Service) -> None:
    with database.session() as session:
        model = shelves.model(session, shelves.project(session, "project"), "model", gate={})
    assert "No version yet." in text(app, "/models/model")
    with database.session() as session:
        bare = shelves.version(
            session, model, "1.0.0-iris.1", {}, parameters={}, document=None, data_sha256=None, code_revision=None
        )
    assert "there is no champion" in text(app, f"/versions/{bare.id}")
    assert "No version yet." not in text(app, "/models/model")


def test_a_database_that_is_away_is_a_page_and_503() -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nothing")
    app = service(away)
    answer = get(app, "/")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "Not available at the moment" in answer.body.decode()
    away.dispose()


def followed(app: Service, path: str, pattern: str, of: str = "after") -> list[str]:
    """What the pattern finds on this page and on all that follow it."""
    found: list[str] = []
    while path:
        page = text(app, path)
        found += re.findall(pattern, page)
        links = [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]+)" rel="next"', page)]
        path = next((link.partition("#")[0] for link in links if f"{of}=" in link), "")
    return found
