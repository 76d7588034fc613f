"""A picture in an HTML form (multipart/form-data, RFC 7578): one field, `file`."""

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from mlsys.errors import InvalidInput

FIELD = "file"


def file_in(content_type: str, body: bytes) -> bytes:
    """The content of the form's one field. Raises: InvalidInput if it is damaged, or not such a form."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidInput("The form's Content-Type names no boundary.")
    form = _Form()
    try:
        form.read(boundary, body)
    except FormParserError as error:
        raise InvalidInput(f"The form is damaged: {error}.") from None
    if not form.ended or form.content is None:
        raise InvalidInput("The form is empty, or truncated before its last boundary.")
    return bytes(form.content)


class _Form:
    """What the parser calls while it reads. A second field ends the reading: there may be 100,000 in a small body."""

    def __init__(self) -> None:
        self.content: bytearray | None = None
        self.ended = False
        self._header = bytearray()
        self._value = bytearray()
        self._name = ""

    def read(self, boundary: bytes, body: bytes) -> None:
        """Raises: FormParserError, InvalidInput."""
        parser = MultipartParser(
            boundary,
            {
                "on_header_begin": self._header_begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_end": self._end,
            },
        )
        parser.write(body)
        parser.finalize()

    def _header_begin(self) -> None:
        self._header, self._value = bytearray(), bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            name = parse_options_header(bytes(self._value))[1].get(b"name", b"")
            self._name = name.decode(errors="replace")

    def _headers_finished(self) -> None:
        if self.content is not None or self._name != FIELD:
            another = "another" if self.content is None else "a second"
            raise InvalidInput(f"The form's one field must be `{FIELD}`; there is {another}, {self._name[:80]!r}.")
        self.content = bytearray()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self.content is not None:
            self.content += memoryview(data)[start:end]

    def _end(self) -> None:
        self.ended = True
