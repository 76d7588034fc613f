"""The three ways to send a picture, for tests."""

import base64
import json

FORM_TYPE = "multipart/form-data; boundary=edge"


def as_json(content: bytes) -> tuple[bytes, str]:
    """Body and content type."""
    return json.dumps({"data": base64.b64encode(content).decode()}).encode(), "application/json"


def as_form(content: bytes, name: str = "file") -> tuple[bytes, str]:
    """Body and content type."""
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="cat.png"\r\n\r\n'
    return head.encode() + content + b"\r\n--edge--\r\n", FORM_TYPE


def as_bytes(content: bytes) -> tuple[bytes, str]:
    """Body and content type."""
    return content, "image/png"


WAYS = (as_json, as_form, as_bytes)
