"""The pages in a browser (Debian's Chromium), as a person meets them; what they look like is left in .run/pages."""

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mlsys.database import Database
from mlsys.ports import free_port
from mlsys.testing import Server, eventually

from .. import migrate
from . import shelves

pytestmark = pytest.mark.e2e

PICTURES = Path(__file__).parents[1] / ".run" / "pages"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync", "--no-first-run"]
PHONE, DESK = 360, 1200
CONTRAST = """([ink, ground]) => {
  const probe = document.body.appendChild(document.createElement("i"));
  const light = name => {
    probe.className = "";
    probe.style.setProperty("color", `var(${name})`);
    const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(part => part / 255);
    const [r, g, b] = parts.map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
  probe.remove();
  return (a + 0.05) / (b + 0.05);
}"""
"""Contrast of two colours by WCAG 2.2, 1.4.3."""


class Site(NamedTuple):
    """The running registry, and the versions of `iris_svc` in it."""

    url: str
    ids: Sequence[uuid.UUID]

    def pages(self) -> dict[str, str]:
        """An address of every kind of page."""
        return {
            "home": "/",
            "project": "/projects/chapter2_training",
            "model": "/models/iris_svc",
            "version": f"/versions/{self.ids[7]}",
            "compare": f"/compare?left={self.ids[5]}&right={self.ids[7]}",
            "error": "/models/nothing",
        }


@pytest.fixture(scope="module")
def site(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("registry")
    database = Database(module_database_url)
    migrate.migrate(database)
    ids = shelves.iris(database)
    database.dispose()
    environment = {
        "PORT": str(free_port()),
        "DATABASE_URL": module_database_url,
        "ARTEFACTS_URL": str(folder / "artefacts"),
        "REGISTRY_TOKEN": uuid.uuid4().hex,
    }
    server = Server("chapter2_training.model_db.app:create_app", folder / "log", environment)
    try:
        eventually(server.is_ready, deadline_s=30)
        yield Site(server.url, ids)
    finally:
        server.kill()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def page(request: pytest.FixtureRequest, chromium: Browser, site: Site) -> Iterator[Page]:
    context = chromium.new_context(java_script_enabled=request.param, base_url=site.url)
    yield context.new_page()
    context.close()


def test_a_reader_gets_from_the_first_page_to_a_comparison(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="iris_svc").first.click()
    expect(page.get_by_role("heading", name="iris_svc", level=1)).to_be_visible()
    page.get_by_label("left: 1.2.1-iris.2").check()
    page.get_by_label("right: 1.3.0-iris.2").check()
    page.get_by_role("button", name="Compare A with B").click()
    expect(page.get_by_role("row", name="accuracy")).to_contain_text("−0.007 worse")
    page.get_by_role("link", name="1.3.0-iris.2").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("1.3.0-iris.2")
    expect(page.get_by_text("wrong labels were reported")).to_be_visible()


def test_a_reader_finds_a_project_by_its_name(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Name contains").fill("visi")
    page.get_by_label("Name contains").press("Enter")
    expect(page.get_by_role("heading", level=2)).to_have_text(["vision"])


def test_points_of_a_plot_say_what_they_are_and_lead_to_their_version(page: Page, site: Site) -> None:
    page.goto("/models/iris_svc")
    point = page.get_by_role("link", name="1.2.1-iris.2: 0.958 (champion)")
    assert point.get_attribute("href") == f"/versions/{site.ids[5]}"
    expect(page.get_by_role("img", name="accuracy of 8 versions")).to_be_visible()
    page.get_by_text("1 more metric").click()
    expect(page.get_by_text("recall_virginica").last).to_be_visible()


def test_everything_is_reached_by_the_keyboard(page: Page) -> None:
    page.goto("/models/iris_svc")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="1.2.1-iris.2").first).to_be_focused()
    page.get_by_label("left: 1.2.1-iris.2").focus()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_label("left: 1.3.0-iris.2")).to_be_checked()


def test_pages_load_without_an_error_and_ask_nobody_else(page: Page, site: Site) -> None:
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for name, path in site.pages().items():
        page.goto(path)
        if name == "error":
            wrong = [text for text in wrong if "404" not in text]  # Chromium reports the page's own status
    assert wrong == []
    assert all(url.startswith((site.url, "data:")) for url in asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_every_page_fits_its_window_and_has_its_picture_taken(
    chromium: Browser, site: Site, width: int, scheme: str
) -> None:
    context = chromium.new_context(
        base_url=site.url,
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    for name, path in site.pages().items():
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png", full_page=True)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_told_from_its_ground(chromium: Browser, site: Site, scheme: str) -> None:
    context = chromium.new_context(
        base_url=site.url, color_scheme="dark" if scheme == "dark" else "light", bypass_csp=True
    )
    page = context.new_page()
    page.goto("/")
    pairs = [(ink, ground) for ink in ("--text", "--quiet", "--link") for ground in ("--ground", "--card")]
    pairs += [(f"--{name}", f"--{name}-ground") for name in ("champion", "bad", "good")]
    pairs += [(ink, "--champion-ground") for ink in ("--text", "--link")] + [("--text", "--mild-ground")]
    for pair in pairs:
        assert page.evaluate(CONTRAST, list(pair)) >= 4.5, pair
    context.close()


def test_a_page_is_printed_in_black_without_what_cannot_be_clicked_on_paper(chromium: Browser, site: Site) -> None:
    context = chromium.new_context(base_url=site.url, color_scheme="dark")
    page = context.new_page()
    page.goto("/models/iris_svc")
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Compare A with B")).to_be_hidden()
    expect(page.locator("body")).to_have_css("color", "rgb(0, 0, 0)")
    page.screenshot(path=PICTURES / "model-print.png", full_page=True)
    context.close()
