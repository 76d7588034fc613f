"""What every pattern's folder holds, and which way its dependencies point."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlsys import catalogue
from mlsys.catalogue import ROOT, Entry

each_pattern = pytest.mark.parametrize("pattern", catalogue.patterns(), ids=lambda entry: entry.name)
ENTRIES = catalogue.patterns() + catalogue.projects() + catalogue.templates()
each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
VAGUE_NAMES = {"utils", "common", "helpers", "constants", "configurations", "cruds", "manager", "base", "data"}
WEB = {"fastapi", "starlette", "uvicorn", "prometheus_client", "os", "requests", "httpx", "aiohttp"}


def sources(directory: Path) -> list[Path]:
    return [file for file in sorted(directory.rglob("*.py")) if ".run" not in file.parts]


def imported(file: Path) -> set[str]:
    """Absolute names of what a file imports, relative imports left out."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module}
    return names


def test_there_are_patterns_and_training_projects() -> None:
    assert catalogue.patterns()
    assert catalogue.projects()


@each_pattern
def test_a_pattern_holds_what_a_reader_expects(pattern: Entry) -> None:
    names = ["README.md", "Makefile", "Procfile", "Dockerfile", "docker-compose.yml", "manifests", "demo.py", "tests"]
    if "chapter" in (pattern.directory / "Procfile").read_text():  # else it runs a bare model server, and is a client
        names += ["app.py", "settings.py"]
    missing = [name for name in [*names, "tests/__init__.py"] if not (pattern.directory / name).exists()]
    assert not missing, f"{pattern.name} lacks {missing}"


@each_entry
def test_the_intent_is_one_sentence(entry: Entry) -> None:
    assert re.fullmatch(r"[A-Z][^\n]{20,150}\.", entry.intent), entry.intent


@each_entry
def test_a_makefile_is_an_include_and_its_overrides(entry: Entry) -> None:
    lines = (entry.directory / "Makefile").read_text().splitlines()
    assert len(lines) <= 6
    assert any(line.startswith("include ../../mk/") for line in lines)


@each_entry
def test_files_are_named_for_their_role(entry: Entry) -> None:
    assert not {file.stem.lower() for file in sources(entry.directory)} & VAGUE_NAMES


@each_entry
def test_no_pattern_imports_another(entry: Entry) -> None:
    for file in sources(entry.directory):
        others = {name for name in imported(file) if name.startswith("chapter") and not name.startswith(entry.module)}
        assert not others, f"{file} imports {others}"


def test_the_shared_package_imports_no_pattern() -> None:
    for file in sources(ROOT / "mlsys"):
        assert not {name for name in imported(file) if name.startswith("chapter")}, file


@each_pattern
def test_the_lesson_knows_no_web_framework_and_no_environment(pattern: Entry) -> None:
    lesson = re.search(r"\| `(\w+\.py)` \| \*\*the lesson\*\*", (pattern.directory / "README.md").read_text())
    assert lesson, f"{pattern.name}/README.md names no file as **the lesson**"
    file = pattern.directory / lesson[1]
    assert not {name.partition(".")[0] for name in imported(file)} & WEB
    assert "sleep(" not in file.read_text()
    assert len(file.read_text().splitlines()) <= 150


WATCH = """
import importlib, sys
def watch(event, arguments):
    if event == "socket.bind" and sys._getframe(1).f_code.co_name == "_has_ipv6":
        return  # 2026-11-21: urllib3 2.8 looks so whether there is IPv6, and closes the socket at once
    touched = str(arguments[0]) if arguments else ""
    code = touched.endswith((".py", ".pyc", ".so", ".pth")) or "site-packages" in touched or "/python3" in touched
    if event in ("socket.bind", "socket.connect") or (event == "open" and touched.startswith(sys.argv[1]) and not code):
        print(event, touched)
sys.addaudithook(watch)
for name in sys.argv[2:]:
    importlib.import_module(name)
"""


@each_entry
def test_importing_a_module_opens_no_file_and_no_socket_and_needs_no_environment(entry: Entry) -> None:
    files = [file for file in sources(entry.directory) if "tests" not in file.parts]
    modules = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    command = [sys.executable, "-B", "-c", WATCH, str(ROOT), *modules]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
