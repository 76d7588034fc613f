"""Logs as a process writes them: the form is chosen once for a process, so each test starts one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import logging
import structlog
from mlsys import logs
from mlsys.settings import Settings
logs.configure(Settings())
log = structlog.get_logger("test")
{body}
"""


def run(body: str, monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-c", PROGRAM.format(body=body)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def lines(body: str, monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(body, monkeypatch, **environment)]


def test_each_line_is_one_json_object_when_no_person_is_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = lines("log.info('hello', path='/a\\nb', number=1)", monkeypatch)
    assert line.pop("time").endswith("Z")
    assert line == {"event": "hello", "level": "info", "path": "/a\nb", "number": 1}


def test_the_standard_librarys_logs_take_the_same_form(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = lines("logging.getLogger('uvicorn.error').warning('odd %s', 'thing')", monkeypatch)
    assert (line["event"], line["level"]) == ("odd thing", "warning")


def test_every_line_of_a_request_carries_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    body = "log.info('before'); logs.request_id.set('abc'); log.info('during'); logging.warning('also')"
    assert [line.get("request_id") for line in lines(body, monkeypatch)] == [None, "abc", "abc"]


@pytest.mark.parametrize("log", ["log.exception('oh')", "logging.exception('oh')"])
def test_a_trace_is_part_of_its_line(monkeypatch: pytest.MonkeyPatch, log: str) -> None:
    (line,) = lines(f"try: 1 / 0\nexcept ZeroDivisionError: {log}", monkeypatch)
    assert line["level"] == "error"
    assert "ZeroDivisionError: division by zero" in line["exception"]


def test_a_value_that_json_does_not_know_is_written_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines("log.info('x', where=object)", monkeypatch)[0]["where"] == "<class 'object'>"


def test_less_severe_lines_than_the_level_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    body = "log.info('a'); logging.info('b'); log.warning('c'); logging.warning('d')"
    assert [line["event"] for line in lines(body, monkeypatch, LOG_LEVEL="warning")] == ["c", "d"]


def test_text_is_one_line_a_person_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = run("log.info('hello', number=1)", monkeypatch, LOG_FORMAT="text")
    assert "hello" in line
    assert "number=1" in line
    assert not line.startswith("{")


def test_a_trace_in_text_follows_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    text = run("try: 1 / 0\nexcept ZeroDivisionError: log.exception('oh')", monkeypatch, LOG_FORMAT="text")
    assert "oh" in text[0]
    assert "ZeroDivisionError: division by zero" in text[1:]


def test_a_trace_in_text_shows_no_values_of_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    body = "def f(token):\n  try: 1 / 0\n  except ZeroDivisionError: log.exception('oh')\nf('s' + '3cret')"
    assert "s3cret" not in "\n".join(run(body, monkeypatch, LOG_FORMAT="text"))


def test_a_callers_text_can_neither_begin_a_line_nor_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = run("log.info('request', path='/\\nfake\\x1b[31m', other='/\\x1b[2J')", monkeypatch, LOG_FORMAT="text")
    assert "\x1b" not in line
    assert r"/\nfake\x1b[31m" in line
