"""Sets logging up: for people on a terminal, one JSON object a line otherwise.

The level is looked at for every event, so it changes at run time. Events of the standard library's
loggers (asyncio's, for one) go the same way.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import Processor

from deid.errors import ConfigError

__all__ = ["LEVELS", "LogControl", "configure_logging"]

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_NUMBERS: Final = {**LEVELS, "critical": 50, "exception": 40, "warn": 30, "fatal": 50}


class LogControl:
    """The level in force; a processor of its own, so that nothing caches it."""

    def __init__(self, level: str = "info") -> None:
        self._level = level
        self._least = 0
        self.set_level(level)

    @property
    def level(self) -> str:
        return self._level

    def set_level(self, level: str) -> None:
        """From the next event on; :class:`ConfigError` for an unknown word."""
        if level not in LEVELS:
            raise ConfigError(f"log level: expected one of {', '.join(LEVELS)}, got {level!r}")
        self._level = level
        self._least = LEVELS[level]

    def __call__(
        self, logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Drops an event below the level."""
        if _NUMBERS.get(method, 50) < self._least:
            raise structlog.DropEvent
        return event


def configure_logging(
    level: str = "info",
    log_format: str = "auto",
    stream: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> LogControl:
    """Configures the process's logging and returns its control.

    log_format: ``console``, ``json``, or ``auto`` (console where ``stream`` is a terminal).
    stream: by default stderr. ``NO_COLOR`` is honoured. :class:`ConfigError` for other words.
    """
    if log_format not in ("auto", "console", "json"):
        raise ConfigError(f"log format: expected auto, console or json, got {log_format!r}")
    target = stream or sys.stderr
    variables = os.environ if environ is None else environ
    control = LogControl(level)
    console = log_format == "console" or (log_format == "auto" and target.isatty())
    colours = target.isatty() and not variables.get("NO_COLOR")
    structlog.configure(
        processors=[control, *(_for_people(colours) if console else _for_programs())],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _Forward)]:
        root.removeHandler(handler)
    root.addHandler(_Forward())
    root.setLevel(logging.INFO)
    return control


def _for_programs() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.dict_tracebacks,
        structlog.processors.JSONRenderer(sort_keys=False, default=_plain, ensure_ascii=False),
    ]


def _for_people(colours: bool) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        _readable,
        structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback
        ),
    ]


def _readable(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Keys and hashes as short hex."""
    for key, value in event.items():
        if isinstance(value, bytes):
            event[key] = value.hex()[:16]
    return event


def _plain(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


class _Forward(logging.Handler):
    """Hands records of the standard library's loggers to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        method = record.levelname.lower()
        number = LEVELS.get(method, record.levelno)
        text = record.getMessage()
        structlog.get_logger(record.name).log(number, text, exc_info=record.exc_info or None)
