"""Parquet files in a directory or a bucket: what is there, under which fingerprint, and what a run leaves."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple, Self

import pyarrow as pa
from pyarrow import fs, parquet

from mlsys.errors import StartupError
from mlsys.model import Model

from ..prediction import code

COLUMNS = {
    "id": pa.types.is_integer,
    "values": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
}
"""What files of items must have, and of which type."""


class Place(NamedTuple):
    """A directory or a bucket. Paths that its methods take are relative to `folder`, the path within the filesystem."""

    filesystem: Any
    folder: str

    @classmethod
    def of(cls, name: str, url: str) -> Self:
        """The place that a person calls `url`. Raises: StartupError, which says `name`, if pyarrow does not know it."""
        try:
            filesystem, folder = fs.FileSystem.from_uri(url if "://" in url else str(Path(url).resolve()))
        except (pa.ArrowException, OSError) as error:
            raise StartupError(f"{name}={url} is no directory, and no URL of a bucket: {error}.") from None
        return cls(filesystem, folder.rstrip("/"))

    def at(self, path: str) -> str:
        """The path within the filesystem."""
        return f"{self.folder}/{path}"

    def parquet(self, path: str = "") -> list[Any]:
        """The Parquet files below a path, as pyarrow's FileInfo, in order. Raises: StartupError if there are none, or
        one does not have the columns of items.
        """
        found = self._files(path)
        if not found:
            raise StartupError(f"There are no .parquet files below {self.at(path)}.")
        for file in found:
            self._require_items(file.path)
        return found

    def rows(self, path: str) -> int:
        """Rows of the Parquet files below a path, which need not be there."""
        return sum(self._metadata(file.path).num_rows for file in self._files(path))

    def read(self, path: str) -> bytes | None:
        """A file's content, if there is one."""
        if not self.filesystem.get_file_info(self.at(path)).is_file:
            return None
        with self.filesystem.open_input_stream(self.at(path)) as file:
            return bytes(file.readall())

    def write(self, path: str, content: bytes) -> None:
        """Write a file. On a bucket, and after a rename here, it is there as a whole or not at all."""
        with self.filesystem.open_output_stream(self.at(f"{path}.part")) as file:
            file.write(content)
        self.filesystem.move(self.at(f"{path}.part"), self.at(path))

    def remove(self, path: str) -> None:
        """Remove a folder with what is in it, if it is there."""
        if self.filesystem.get_file_info(self.at(path)).type != fs.FileType.NotFound:
            self.filesystem.delete_dir(self.at(path))

    def _files(self, path: str) -> list[Any]:
        below = fs.FileSelector(self.at(path), allow_not_found=True, recursive=True)
        found = [file for file in self.filesystem.get_file_info(below) if file.is_file]
        return sorted((file for file in found if file.extension == "parquet"), key=lambda file: file.path)

    def _metadata(self, path: str) -> Any:  # noqa: ANN401  # pyarrow has no types
        with self.filesystem.open_input_file(path) as file:
            return parquet.read_metadata(file)

    def _require_items(self, path: str) -> None:
        try:
            schema = self._metadata(path).schema.to_arrow_schema()
        except pa.ArrowException as error:
            raise StartupError(f"{path} is no Parquet file: {error}.") from None
        for name, fits in COLUMNS.items():
            place = schema.get_field_index(name)
            if place < 0 or not fits(schema.field(place).type):
                has = schema.field(place).type if place >= 0 else "none"
                raise StartupError(f"{path} must have a column {name} of {_WORDS[name]}, and has {has}.")


_WORDS = {"id": "integers", "values": "text"}


def fingerprint(model: Model, files: list[Any]) -> str:
    """What tells one run from another: the model, the code around it, and the files by name, size and time."""
    facts = [model.sha256, code(), *(f"{file.path} {file.size} {file.mtime_ns}" for file in files)]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
