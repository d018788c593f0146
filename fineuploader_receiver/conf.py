"""`FINEUPLOADER_RECEIVERS`: alias to options, every option typed, checked and with a default."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from .protocol.names import WIRE_NAMES

SETTING = "FINEUPLOADER_RECEIVERS"
DEFAULT_ALIAS = "default"

DURABILITIES = ("none", "publish", "chunk")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReceiverOptions:
    """The options of one receiver. Field names are the option names in lower case; docs/settings explains each."""

    alias: str
    receiver: str = "fineuploader_receiver.receivers.Receiver"
    storage: str = "default"
    backend: str | None = None
    staging_dir: str | None = None
    upload_to: str | Callable[..., str] = "uploads/%Y/%m/%d/"
    expire_after: datetime.timedelta = datetime.timedelta(days=8)
    unclaimed_after: datetime.timedelta | None = None
    max_file_size: int | None = None
    max_chunk_size: int | None = None
    max_chunks: int = 50_000
    allowed_extensions: Sequence[str] | None = None
    allowed_content_types: Sequence[str] | None = None
    validators: Sequence[Callable[[Any], None] | str] = ()
    max_active_uploads: int | None = None
    max_staged_bytes: int | None = None
    min_free_space: int = 64 * 2**20
    allow_anonymous: bool = False
    done_request: bool | None = None
    durability: str = "publish"
    digest: str | None = None
    param_names: Mapping[str, str] = dataclasses.field(default_factory=dict)


class OptionError(ImproperlyConfigured):
    """An option that cannot be used; the message names the setting, the alias and the option."""

    def __init__(self, alias: str, option: str, problem: str) -> None:
        super().__init__(f'{SETTING}["{alias}"]["{option}"] {problem}')


def configured() -> dict[str, Any]:
    """The setting as written, with the default receiver that is always there."""
    value = getattr(settings, SETTING, None)
    if value is None:
        value = {}
    if not isinstance(value, Mapping):
        raise ImproperlyConfigured(f"{SETTING} must be a dictionary of aliases to options.")
    return {DEFAULT_ALIAS: {}, **value}


def load_options(alias: str) -> ReceiverOptions:
    """The options of one receiver. Raises ImproperlyConfigured for an unknown alias and OptionError for bad options."""
    receivers = configured()
    if alias not in receivers:
        raise ImproperlyConfigured(f'{SETTING} has no receiver "{alias}".')
    raw = receivers[alias]
    if alias != str(alias) or not 0 < len(alias) <= 64:
        raise ImproperlyConfigured(f"{SETTING} has an alias that is not a string of 1 to 64 characters: {alias!r}.")
    if not isinstance(raw, Mapping):
        raise ImproperlyConfigured(f'{SETTING}["{alias}"] must be a dictionary of options.')
    values = {}
    for option, value in raw.items():
        rule = _RULES.get(option)
        if rule is None:
            raise OptionError(alias, option, "is not an option.")
        problem = rule(value)
        if problem:
            raise OptionError(alias, option, f"must be {problem}, not {value!r}.")
        values[option.lower()] = value
    return ReceiverOptions(alias=alias, **_normalised(values))


def _normalised(values: dict[str, Any]) -> dict[str, Any]:
    if values.get("allowed_extensions") is not None:
        values["allowed_extensions"] = tuple(ext.lower().lstrip(".") for ext in values["allowed_extensions"])
    if values.get("allowed_content_types") is not None:
        values["allowed_content_types"] = tuple(kind.lower() for kind in values["allowed_content_types"])
    if values.get("staging_dir") is not None:
        values["staging_dir"] = str(values["staging_dir"])
    return values


Rule = Callable[[Any], str]
"""Says what the value must be, or nothing where it is that."""


def _optional(rule: Rule) -> Rule:
    return lambda value: "" if value is None else (problem := rule(value)) and f"None or {problem}"


def _text(value: Any) -> str:
    return "" if isinstance(value, str) and value else "a string"


def _path(value: Any) -> str:
    return "" if value and hasattr(value, "__fspath__") else _text(value) and "a path"


def _upload_to(value: Any) -> str:
    return "" if callable(value) or isinstance(value, str) else "a string or a callable"


def _period(value: Any) -> str:
    fine = isinstance(value, datetime.timedelta) and value > datetime.timedelta(0)
    return "" if fine else "a datetime.timedelta above zero"


def _positive(value: Any) -> str:
    return "" if type(value) is int and value > 0 else "an integer above zero"


def _natural(value: Any) -> str:
    return "" if type(value) is int and value >= 0 else "an integer, zero or above"


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "True or False"


def _strings(value: Any) -> str:
    fine = isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(item, str) and item for item in value)
    return "" if fine else "a list of strings"


def _validators(value: Any) -> str:
    fine = isinstance(value, (list, tuple)) and all(callable(item) or isinstance(item, str) for item in value)
    return "" if fine else "a list of validators or dotted paths of validators"


def _durability(value: Any) -> str:
    return "" if value in DURABILITIES else f"one of {', '.join(DURABILITIES)}"


def _digest(value: Any) -> str:
    from .digests import ALGORITHMS

    return "" if value in ALGORITHMS else f"one of {', '.join(ALGORITHMS)}"


def _param_names(value: Any) -> str:
    fine = (
        isinstance(value, Mapping)
        and set(value) <= set(WIRE_NAMES)
        and all(isinstance(name, str) and name for name in value.values())
        and len({**dict(zip(WIRE_NAMES, WIRE_NAMES, strict=True)), **value}.values())
        == len(set({**dict(zip(WIRE_NAMES, WIRE_NAMES, strict=True)), **value}.values()))
    )
    return "" if fine else f"a dictionary of distinct names, with keys among {', '.join(WIRE_NAMES)}"


_RULES: dict[str, Rule] = {
    "RECEIVER": _text,
    "STORAGE": _text,
    "BACKEND": _optional(_text),
    "STAGING_DIR": _optional(_path),
    "UPLOAD_TO": _upload_to,
    "EXPIRE_AFTER": _period,
    "UNCLAIMED_AFTER": _optional(_period),
    "MAX_FILE_SIZE": _optional(_positive),
    "MAX_CHUNK_SIZE": _optional(_positive),
    "MAX_CHUNKS": _positive,
    "ALLOWED_EXTENSIONS": _optional(_strings),
    "ALLOWED_CONTENT_TYPES": _optional(_strings),
    "VALIDATORS": _validators,
    "MAX_ACTIVE_UPLOADS": _optional(_positive),
    "MAX_STAGED_BYTES": _optional(_positive),
    "MIN_FREE_SPACE": _natural,
    "ALLOW_ANONYMOUS": _flag,
    "DONE_REQUEST": _optional(_flag),
    "DURABILITY": _durability,
    "DIGEST": _optional(_digest),
    "PARAM_NAMES": _param_names,
}
