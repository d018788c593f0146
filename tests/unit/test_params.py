"""Custom parameters: three encodings, one nested dictionary, and nothing a database would refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineuploader_receiver.exceptions import BadParameter
from fineuploader_receiver.protocol.names import ParamNames
from fineuploader_receiver.protocol.params import MAX_DEPTH, MAX_INTEGER, clean_text, from_json, from_pairs

NAMES = ParamNames()
WIRE = (
    "qquuid",
    "qqfilename",
    "qqtotalfilesize",
    "qqfile",
    "qqpartindex",
    "qqpartbyteoffset",
    "qqchunksize",
    "qqtotalparts",
    "qqresume",
    "qqtimestamp",
    "qqdigest",
    "qqdonerequest",
    "_method",
    "csrfmiddlewaretoken",
)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], {}),
        ([("a", "1")], {"a": "1"}),
        ([("a", "1"), ("a", "2")], {"a": "2"}),
        ([("a", "")], {"a": ""}),
        ([("", "1")], {"": "1"}),
        ([("a[b]", "1"), ("a[c][d]", "2")], {"a": {"b": "1", "c": {"d": "2"}}}),
        ([("arr[0]", "1"), ("arr[1]", "two")], {"arr": ["1", "two"]}),
        ([("arr[0][x]", "1"), ("arr[1][x]", "2")], {"arr": [{"x": "1"}, {"x": "2"}]}),
        ([("arr[0][0]", "1"), ("arr[0][1]", "2"), ("arr[1][0]", "3")], {"arr": [["1", "2"], ["3"]]}),
        ([("arr", "1,two,[object Object]")], {"arr": "1,two,[object Object]"}),
        ([("text", "a, b")], {"text": "a, b"}),
        ([("arr[1]", "1"), ("arr[2]", "2")], {"arr": {"1": "1", "2": "2"}}),
        ([("arr[1]", "1"), ("arr[0]", "0")], {"arr": {"1": "1", "0": "0"}}),
        ([("arr[00]", "1")], {"arr": {"00": "1"}}),
        ([("arr[0]", "1"), ("arr[x]", "2")], {"arr": {"0": "1", "x": "2"}}),
        ([("a[]", "1")], {"a": {"": "1"}}),
        ([("a", "1"), ("a[b]", "2")], {"a": {"b": "2"}}),
        ([("a[b]", "1"), ("a", "2")], {"a": "2"}),
        ([("a[b]", "1"), ("a[b][c]", "2")], {"a": {"b": {"c": "2"}}}),
        ([("[a]", "1")], {"[a]": "1"}),
        ([("a[b", "1")], {"a[b": "1"}),
        ([("a]b", "1")], {"a]b": "1"}),
        ([("a[b]c", "1")], {"a[b]c": "1"}),
        ([("a[[b]]", "1")], {"a[[b]]": "1"}),
        ([("a\n[b]", "1")], {"a\n": {"b": "1"}}),
        ([("qqpath", "top/sub/"), ("qqparentuuid", "x"), ("qqparentsize", "9")],
         {"qqpath": "top/sub/", "qqparentuuid": "x", "qqparentsize": "9"}),
        ([("n\0ul", "v\0al")], {"n\ufffdul": "v\ufffdal"}),
        ([("a[\ud800]", "\udfff")], {"a": {"\ufffd": "\ufffd"}}),
    ],
    ids=str,
)  # fmt: skip
def test_pairs_of_a_form(pairs: list[tuple[str, str]], expected: dict[str, Any]) -> None:
    assert from_pairs(pairs, NAMES) == expected


@pytest.mark.parametrize("name", WIRE)
def test_names_of_the_wire_are_never_custom_parameters(name: str) -> None:
    pairs = [(name, "1"), (f"{name}[a]", "2"), ("mine", "3")]
    assert from_pairs(pairs, NAMES) == {"mine": "3"}
    assert from_json({name: 1, "mine": 3}, NAMES) == {"mine": 3}


def test_renamed_names_of_the_wire_are_not_custom_and_the_old_ones_are() -> None:
    names = ParamNames.renamed({"qquuid": "id"})
    assert from_pairs([("id", "1"), ("qquuid", "2")], names) == {"qquuid": "2"}


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


def test_nesting_at_the_limit_and_one_past_it() -> None:
    key = "a" + "[a]" * (MAX_DEPTH - 1)
    assert from_pairs([(key, "x")], NAMES) == nested(MAX_DEPTH)
    with pytest.raises(BadParameter):
        from_pairs([(f"{key}[a]", "x")], NAMES)


def test_json_nesting_at_the_limit_and_one_past_it() -> None:
    assert from_json({"a": nested(MAX_DEPTH)}, NAMES) == {"a": nested(MAX_DEPTH)}
    with pytest.raises(BadParameter):
        from_json({"a": nested(MAX_DEPTH + 1)}, NAMES)
    with pytest.raises(BadParameter):
        from_json({"a": json.loads("[" * 500 + "]" * 500)}, NAMES)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        (True, True),
        (None, None),
        (1.5, 1.5),
        (MAX_INTEGER, MAX_INTEGER),
        (MAX_INTEGER + 1, str(MAX_INTEGER + 1)),
        (-MAX_INTEGER - 2, str(-MAX_INTEGER - 2)),
        (float("nan"), None),
        (float("inf"), None),
        (float("-inf"), None),
        ("a\0b\ud800", "a\ufffdb\ufffd"),
        ([1, "two", [None]], [1, "two", [None]]),
        ({"a\0": {"b": float("nan")}}, {"a\ufffd": {"b": None}}),
        ([float("inf"), {"c": "\0"}], [None, {"c": "\ufffd"}]),
    ],
    ids=repr,
)
def test_values_of_json(value: Any, expected: Any) -> None:
    assert from_json({"a": value}, NAMES) == {"a": expected}


texts = st.text(st.characters(exclude_categories=[]), max_size=8)
keys = st.text(st.sampled_from("ab01[]\0\ud800"), max_size=10)


def storable(value: Any) -> bool:
    """Whether every database takes it: no NUL, no lone surrogate, no NaN, and integers of 64 bits."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    return "\\u0000" not in text and text.encode("utf-8") != b""


@given(st.lists(st.tuples(keys, texts), max_size=12))
def test_any_pairs_become_something_storable(pairs: list[tuple[str, str]]) -> None:
    assert storable(from_pairs(pairs, NAMES))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(texts, json_values, max_size=4))
def test_any_json_becomes_something_storable(values: dict[str, Any]) -> None:
    assert storable(from_json(values, NAMES))


@given(texts)
def test_clean_text_keeps_all_but_what_cannot_be_stored(text: str) -> None:
    cleaned = clean_text(text)
    assert len(cleaned) == len(text)
    assert all(new in (old, "\ufffd") for new, old in zip(cleaned, text, strict=True))
    assert storable(cleaned)
