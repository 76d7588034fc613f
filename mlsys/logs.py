"""Structured logs: one JSON object a line for machines, text for a person at a terminal."""

import logging
import sys
from contextvars import ContextVar

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from .settings import Settings

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request that the current task answers; every log line written meanwhile carries it."""
traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""The trace that this request is part of (W3C Trace Context), if the caller named one; other services are told."""


def configure(settings: Settings) -> None:
    """Send this process's logs, structlog's and the standard library's, to standard output in the configured form."""
    text = settings.log_format == "text" or (settings.log_format == "auto" and sys.stdout.isatty())
    shared: list[Processor] = [
        _add_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    render: list[Processor] = [_text_renderer() if text else structlog.processors.JSONRenderer(serializer=_encode)]
    if not text:
        render.insert(0, structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.WriteLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    _configure_stdlib(settings, shared, render)


def _configure_stdlib(settings: Settings, shared: list[Processor], render: list[Processor]) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    logging.getLogger("alembic").setLevel(max(root.level, logging.WARNING))  # it tells of every look at a database


def _text_renderer() -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(),
        timestamp_key="time",
        pad_event_to=0,
        repr_native_str=True,  # a caller's path must not speak to the terminal
        exception_formatter=structlog.dev.plain_traceback,  # the others print local variables, secrets among them
    )


def _encode(event: EventDict, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _add_request_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    current = request_id.get()
    if current is not None:
        event["request_id"] = current
    return event
