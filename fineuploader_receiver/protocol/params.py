"""Custom parameters: from the client's three encodings to one nested dictionary (docs/protocol.md, section 1.4)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..exceptions import BadParameter
from .names import ParamNames

MAX_DEPTH = 20
MAX_INTEGER = 2**63 - 1

_KEY = re.compile(r"([^\[]*)((?:\[[^\[\]]*\])*)\Z", re.DOTALL)
_SUBKEY = re.compile(r"\[([^\[\]]*)\]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(value: str) -> str:
    """Replace what only some databases can store: NUL and lone surrogates become U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", value)


def from_pairs(pairs: Iterable[tuple[str, str]], names: ParamNames) -> dict[str, Any]:
    """Custom parameters of a form or query. `a[b]` nests, `a[0]`, `a[1]` … is a list; the last of equal keys wins.

    Comma-joined strings stay strings: the client writes arrays so in multipart bodies, and texts with commas too.
    """
    tree: dict[str, Any] = {}
    for key, value in pairs:
        if key in names.taken:
            continue
        head, subkeys = _split(key)
        if head in names.taken:
            continue
        _put(tree, [head, *subkeys], clean_text(value))
    return {key: _lists(value) for key, value in tree.items()}


def from_json(values: Mapping[str, Any], names: ParamNames) -> dict[str, Any]:
    """Custom parameters of a JSON success request, as they are, but for what databases refuse."""
    return {clean_text(key): _clean(value, MAX_DEPTH) for key, value in values.items() if key not in names.taken}


def _split(key: str) -> tuple[str, list[str]]:
    match = _KEY.match(key)
    if match is None or not match[1]:
        return clean_text(key), []
    return clean_text(match[1]), [clean_text(subkey) for subkey in _SUBKEY.findall(match[2])]


def _put(tree: dict[str, Any], path: list[str], value: str) -> None:
    if len(path) > MAX_DEPTH:
        raise BadParameter("A parameter is nested too deeply.")
    for key in path[:-1]:
        branch = tree.get(key)
        if not isinstance(branch, dict):
            branch = tree[key] = {}
        tree = branch
    tree[path[-1]] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    items = {key: _lists(item) for key, item in value.items()}
    if items and list(items) == [str(number) for number in range(len(items))]:
        return list(items.values())
    return items


def _clean(value: Any, depth: int) -> Any:
    if depth < 0:
        raise BadParameter("A parameter is nested too deeply.")
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return str(value)
    if isinstance(value, list):
        return [_clean(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {clean_text(key): _clean(item, depth - 1) for key, item in value.items()}
    return value
