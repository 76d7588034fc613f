"""What a module imports, and what that imports in turn, read from the sources: nothing is run.

Imports inside functions are left out: they are for what one verb alone needs, and an image may do without it.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from importlib.util import resolve_name
from pathlib import Path

from packaging.utils import canonicalize_name

from mlsys.catalogue import ROOT

_DISTRIBUTIONS = packages_distributions()


def reached(modules: Iterable[str]) -> tuple[set[Path], dict[frozenset[str], str]]:
    """Files of this repository that starting the modules reads, and what it needs besides: the distributions that each
    have a package (mostly one; `google` is of several), and a file that imports it.
    """
    files: set[Path] = set()
    needed: dict[frozenset[str], str] = {}
    left = [entry for module in modules for entry in (module, f"{module}.__main__") if _files(entry)]
    while left:
        for file in _files(left.pop()) - files:
            files.add(file)
            for name in _imports(file):
                if _files(name):
                    left.append(name)
                elif (top := name.partition(".")[0]) not in sys.stdlib_module_names:
                    having = frozenset(canonicalize_name(each) for each in _DISTRIBUTIONS.get(top, [top]))
                    needed[having] = str(file.relative_to(ROOT))
    return files, needed


@cache
def _files(module: str) -> frozenset[Path]:
    """The module's file and those of the packages that it lies in; none if it is not of this repository."""
    parts = module.split(".")
    place = ROOT.joinpath(*parts)
    own = next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.exists()), None)
    if own is None:
        return frozenset()
    above = (ROOT.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts)))
    return frozenset({own, *(file for file in above if file.exists())})


@cache
def _imports(file: Path) -> frozenset[str]:
    """Absolute names of the modules that a file imports when it is imported itself."""
    package = ".".join(file.parent.relative_to(ROOT).parts)
    found = set()
    for node in _at_import(ast.parse(file.read_text()).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found |= {name for name in inner if _files(name)} | {base}
    return frozenset(found)


def _at_import(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that are done at import: not those of functions, and not those for type checkers."""
    for node in body:
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.stmt):
                yield from _at_import([inner])
