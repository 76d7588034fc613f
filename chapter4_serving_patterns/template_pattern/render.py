"""The template as Copier takes it: written into a folder from the golden pattern and the files beside this one."""

import json
import re
from pathlib import Path

import copier

from mlsys.catalogue import ROOT

from .markup import CLOSE, KINDS, MODEL, OPEN, PROJECT, SCHEMA, mark, names

HERE = Path(__file__).parent
SUFFIX = ".jinja"
CHAPTER = "chapter4_serving_patterns"
BESIDE = "on_ray/"
"""A variant of the batch pattern on another engine: a folder of its own, with dependencies of its own."""
_BESIDE = re.compile(rf"\n[^\n]*`{BESIDE}`.*?\n(?=\n)", re.DOTALL)  # the README's paragraph about it
_OWN = {"README.md"}  # it has the golden pattern's figures, and its reasons
_OF_A_MODEL = {"demo.py", "tests/test_app.py", "tests/test_bad_input.py", "tests/test_demo.py"}
_OF_A_MODEL |= {"tests/test_predictor.py", "tests/test_v2.py"}
_OF_A_CHECKOUT = {"Makefile"}
_PLACE = "@configuration@"
_UNSEEN = "`make demo` shows it. Put its output here, with the machine and the date.\n"
_MEASURED = re.compile(r"(?<=## See it work\n\n).*?(?=\n## )", re.DOTALL)
_NEIGHBOUR = re.compile(r"\]\(\.\./(?!\.\.)")
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")
_WRITTEN = re.compile(r"<!-- (configuration: .*|end) -->\n")
_COVERAGE = re.compile(r"\n\[tool\.coverage\..*", re.DOTALL)  # they come last
_CHAPTERS = re.compile(r"^(files|testpaths) = .*$", re.MULTILINE)  # what mypy and pytest look at
_TYPES: dict[type, str] = {list: "yaml", bool: "bool", int: "int"}
_QUESTIONS = {
    "_templates_suffix": SUFFIX,
    "_answers_file": ".copier-answers.yml",
    "_envops": {
        "variable_start_string": OPEN,
        "variable_end_string": CLOSE,
        "block_start_string": f"{OPEN}%",
        "block_end_string": f"%{CLOSE}",
        "comment_start_string": f"{OPEN}#",
        "comment_end_string": f"#{CLOSE}",
        "keep_trailing_newline": True,
        "trim_blocks": True,
    },
}


def golden(kind: str, left_out: set[str]) -> dict[str, str]:
    """The files of a kind's pattern, text by path, without what running and testing it left there, and without what
    stands beside it (BESIDE).
    """
    found = texts(ROOT / CHAPTER / KINDS[kind])
    return {name: text for name, text in found.items() if name not in left_out and not name.startswith(BESIDE)}


def texts(folder: Path) -> dict[str, str]:
    """The files of a folder, text by path; nothing that is hidden, was compiled, or is a plot."""
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    shown = [p for p in paths if not any(part[0] == "." or part in ("__pycache__", "img") for part in p.parts)]
    return {str(path): (folder / path).read_text() for path in shown}


def template(kind: str, *, own_schema: bool, project: bool) -> dict[str, str]:
    """The template's files, text with marks by path. own_schema: for a model that mlsys.iris does not describe.

    Raises: Rotten.
    """
    return _of_a_model(own_schema=own_schema, project=project) if kind == "single" else _renamed(kind, project=project)


def _renamed(kind: str, *, project: bool) -> dict[str, str]:
    """The template of a kind that is its pattern under another name: text with marks by path. Raises: Rotten."""
    words, files = KINDS[kind].replace("_", " "), golden(kind, set())
    spoken = {f"# {words.capitalize()}\n": f"# {OPEN}name|replace('_', ' ')|capitalize{CLOSE}\n"}
    if any(words in text for text in files.values()):
        spoken[words] = f"{OPEN}name|replace('_', ' '){CLOSE}"
    files["README.md"] = _BESIDE.sub("", _MEASURED.sub(_UNSEEN, files["README.md"]))
    files = mark(files, spoken, names(KINDS[kind]), *([PROJECT] if project else []))
    readme = files.pop("README.md")
    if not project:
        return files | {"README.md": _NEIGHBOUR.sub(f"](../../{CHAPTER}/", readme)}  # also from another chapter
    del files["Makefile"]
    return _placed(files) | {"README.md": _LINK.sub(r"\1", _WRITTEN.sub("", readme))}


def _of_a_model(*, own_schema: bool, project: bool) -> dict[str, str]:
    """The template of the kind `single`, whose model is chosen: text with marks by path. Raises: Rotten."""
    left_out = _OWN | (_OF_A_MODEL if own_schema else set()) | (_OF_A_CHECKOUT if project else set())
    tables = ([SCHEMA] if own_schema else []) + [MODEL | names(KINDS["single"])] + ([PROJECT] if project else [])
    files = mark(golden("single", left_out), *tables)
    if own_schema:
        files |= beside("any_model")
    readme = {name: text.replace(_PLACE, _configuration(project)) for name, text in beside("readme").items()}
    if not project:
        return files | readme
    return _placed(files) | readme


def _placed(files: dict[str, str]) -> dict[str, str]:
    """The files of a pattern where a project has them, and those of the project."""
    placed = {f"{OPEN}chapter{CLOSE}/{OPEN}name{CLOSE}/{path}": text for path, text in files.items()}
    tools = _COVERAGE.sub("", (ROOT / "pyproject.toml").read_text())
    chapters = _CHAPTERS.sub(rf'\1 = ["{OPEN}chapter{CLOSE}"]', tools)
    return placed | beside("project") | {"pyproject.toml": chapters.replace("# The repository", "# The project")}


def _configuration(project: bool) -> str:
    """The table of the golden pattern's settings; `make docs`, which keeps it up to date, is not in a project."""
    (part,) = re.findall(r"<!-- configuration.*?<!-- end -->", golden("single", set())["README.md"], re.DOTALL)
    lines = mark({"README.md": part}, {"iris_svc": MODEL["iris_svc"]})["README.md"].splitlines()
    return "\n".join(lines[1:-1] if project else lines)


def beside(folder: str) -> dict[str, str]:
    """The files of a folder beside this module, text by path."""
    paths = [path for path in sorted((HERE / folder).rglob("*")) if path.is_file()]
    return {str(path.relative_to(HERE / folder)).removesuffix(SUFFIX): path.read_text() for path in paths}


def render(files: dict[str, str], answers: dict[str, object], workshop: Path, destination: Path) -> None:
    """Have Copier fill in the template's files in `destination`; `workshop` is an empty folder for the template."""
    questions = {name: {"type": _TYPES.get(type(value), "str")} for name, value in answers.items()}
    (workshop / "copier.yml").write_text(json.dumps(_QUESTIONS | questions))  # JSON is YAML
    for path, text in files.items():
        (workshop / f"{path}{SUFFIX}").parent.mkdir(parents=True, exist_ok=True)
        (workshop / f"{path}{SUFFIX}").write_text(text)
    copier.run_copy(str(workshop), destination, data=answers, defaults=True, quiet=True)
