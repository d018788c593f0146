"""Log records that nobody's input can forge.

The app's own words never hold a file name or a parameter, but errors do: those of hooks, of Django, and of databases,
which quote the value that they refuse, line breaks and all.
"""

from __future__ import annotations

import logging
import re
import textwrap

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")

_formatter = logging.Formatter()


def get_logger(name: str) -> logging.Logger:
    """A logger whose records are one line each, and whose tracebacks are indented below theirs."""
    logger = logging.getLogger(name)
    logger.addFilter(_contain)
    return logger


def _contain(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    if _CONTROL.search(message):
        record.msg, record.args = _escape(_CONTROL, message), ()
    if record.exc_info:
        # Formatters take this text where it is set, and report services the exception itself.
        text = _escape(_CONTROL_BUT_LINES, _formatter.formatException(record.exc_info))
        record.exc_text = textwrap.indent(text, "    ", lambda line: True)
    return True


def _escape(control: re.Pattern[str], text: str) -> str:
    return control.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
