"""The lesson: a template that cannot rot, because it is a working pattern with its own words marked as variables.

A template kept beside the code that it was made from ages: the code is run, tested and mended every day, the template
when somebody happens to use it. Here is no second copy. A pattern is read when a service is made, each phrase of the
tables below is exchanged for a mark, and Copier fills in the marks. What changes there is in the next service.

What is left to rot are the tables, and that shows: a phrase that the pattern no longer has is refused.
"""

from collections.abc import Mapping

from mlsys.errors import StartupError

KINDS = {
    "single": "web_single_pattern",
    "proxy": "horizontal_microservice_pattern",
    "worker": "asynchronous_pattern",
    "batch": "batch_pattern",
}
"""The pattern that each kind of service is made from."""
OPEN, CLOSE = "⟦", "⟧"  # as Copier's marks: no source, Dockerfile or manifest has them, and both have braces

MODEL = {
    "web single pattern": "⟦name|replace('_', ' ')|replace(' pattern', '')⟧ pattern",
    "iris_svc": "⟦model⟧",
}
"""What a service of another model has of its own on top of `names`."""

SCHEMA = {
    "from mlsys import iris\nfrom mlsys.app import": "from mlsys.app import",
    "from . import __doc__ as intent": "from . import schema\nfrom . import __doc__ as intent",
    "from mlsys import iris\nfrom mlsys.model import Model": "from mlsys.model import Model\n\nfrom . import schema",
    "the routes of an Iris service": "the routes of its service",
    "everything between a flower and its class": "everything between a row of numbers and its label",
    "A model that knows it is about flowers.": "A model that knows its schema.",
    "Probabilities [3] of setosa, versicolor and virginica for one flower [4] in centimetres.": (
        "⟦values|capitalize⟧ [⟦outputs⟧] for one row [⟦features|length⟧], features in the order of the schema."
    ),
    "Name of the most probable class of one flower [4] in centimetres.": (
        "Name of the class of one row [⟦features|length⟧], by the model's own decision rule."
    ),
    "Most probable class of": "Class, by the model's own decision rule, of",
    "The classes, in the order of the probabilities.": "The classes.",
    'data_type="float32"': 'data_type="⟦data_type⟧"',
    '"(1,4)"': '"⟦data_structure⟧"',
    'prediction_type="float32"': 'prediction_type="⟦prediction_type⟧"',
    '"(1,3)",  # as the book has it;': '"⟦prediction_structure⟧",  # as the book has it;',
    "IrisPredictor": "Predictor",
    "iris.Flower": "schema.Input",
    "iris.": "schema.",
    "Probabilities": "⟦values|capitalize⟧",
    "probabilities": "⟦values⟧",
    "flower": "row",
}
"""On top, what a service of another kind of model has: a schema of its own in place of the flowers'."""

PROJECT = {
    "# Build from the root of the repository:": "# Build from the root of the project:",
    "COPY requirements/": "COPY vendor vendor\nCOPY requirements/",
    "COPY mlsys mlsys\n": "",
    "COPY ⟦chapter⟧/__init__.py ⟦chapter⟧/\n": "",
}
"""On top, what a project of its own has: mlsys comes as a wheel."""


class Rotten(StartupError):
    """A pattern no longer has a phrase that a table names."""


def names(pattern: str) -> dict[str, str]:
    """What every new pattern has of its own: where the one that it is made from has its name.

    With that pattern's own answers, what comes out is that pattern.
    """
    return {
        "chapter4_serving_patterns": "⟦chapter⟧",
        pattern: "⟦name⟧",
        pattern.replace("_", "-"): "⟦name|replace('_', '-')⟧",
    }


def mark(files: Mapping[str, str], *tables: Mapping[str, str]) -> dict[str, str]:
    """The files (text by path) with the phrases of the tables exchanged, table after table, the first phrase first.

    Raises: Rotten if no file has a phrase, or a file has a mark already.
    """
    marked = dict(files)
    for path, text in files.items():
        if OPEN in text or CLOSE in text:
            raise Rotten(f"{path} has {OPEN} or {CLOSE} in it, which the template's marks are made of.")
    for table in tables:
        for phrase, instead in table.items():
            if not any(phrase in text for text in marked.values()):
                raise Rotten(f"No file of the pattern has {phrase!r} any more: bring markup.py up to what it says now.")
            marked = {path: text.replace(phrase, instead) for path, text in marked.items()}
    return marked
