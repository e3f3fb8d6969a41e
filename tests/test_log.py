"""Logging: for people on a terminal, JSON lines elsewhere, a level that changes at run time."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from deid.errors import ConfigError
from deid.log import configure_logging


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def undone() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_without_a_terminal_each_event_is_one_json_line() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)

    structlog.get_logger().info("peer.suspected", peer=b"\xab\xcd", silent_ms=3_000)
    structlog.get_logger().warning("two\nlines")

    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["level"], first["peer"]) == ("peer.suspected", "info", "abcd")
    assert first["silent_ms"] == 3_000 and first["time"].endswith("Z")
    assert second["event"] == "two\nlines"


def test_on_a_terminal_events_are_for_people() -> None:
    stream = Terminal()
    configure_logging(stream=stream, environ={"NO_COLOR": "1"})

    structlog.get_logger().info("peer.suspected", silent_ms=3_000)

    text = stream.getvalue()
    assert "peer.suspected" in text and "silent_ms=3000" in text
    assert "\x1b" not in text


def test_colour_is_for_terminals_alone() -> None:
    coloured, plain = Terminal(), io.StringIO()
    configure_logging(stream=coloured, environ={})
    structlog.get_logger().info("a")
    configure_logging(log_format="console", stream=plain, environ={})
    structlog.get_logger().info("a")

    assert "\x1b" in coloured.getvalue()
    assert "\x1b" not in plain.getvalue()


def test_the_level_changes_for_loggers_that_exist_already() -> None:
    stream = io.StringIO()
    control = configure_logging("warning", stream=stream)
    log = structlog.get_logger("early").bind(node="alpha")
    log.info("dropped")
    control.set_level("debug")
    log.debug("kept")
    control.set_level("error")
    log.warning("dropped too")

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["kept"]
    assert control.level == "error"


def test_a_traceback_is_part_of_its_json_line() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    try:
        raise ValueError("deep")
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)

    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["exception"][0]["exc_type"] == "ValueError"


def test_events_of_the_standard_library_go_the_same_way_once() -> None:
    stream = io.StringIO()
    control = configure_logging(stream=stream)
    configure_logging(stream=stream)
    logging.getLogger("asyncio").error("slow %s", "callback")
    control.set_level("error")

    (line,) = stream.getvalue().splitlines()
    said = json.loads(line)
    assert (said["event"], said["level"]) == ("slow callback", "error")


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ConfigError, match="log level: expected one of"):
        configure_logging("loud")
    with pytest.raises(ConfigError, match="log format: expected"):
        configure_logging(log_format="xml")
