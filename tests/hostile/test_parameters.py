"""Hostile values in every parameter and encoding: an answer of the protocol's shape, and nobody else is the worse."""

from __future__ import annotations

import pytest

from fakeuploader import WireRequest
from hostile.aim import ENCODERS, Params, changed, chunk_params, request, simple_params, urlencoded
from hostile.values import GOOD_UUID, KEYS, NAMES, NUMBERS, TEXTS, UUIDS
from hostile.world import World

UPLOADS = ("form", "query", "raw")
DONE = ("done form", "done JSON", "done multipart")
TOTALS = (b"qqtotalparts", b"qqtotalfilesize")
NUMERIC = (b"qqpartindex", b"qqpartbyteoffset", b"qqchunksize", *TOTALS)
ODD = (b"qqresume", b"qqdigest", b"qqdonerequest", b"_method", b"csrfmiddlewaretoken", b"qqtimestamp", b"qqpath")


@pytest.mark.parametrize("encoding", ENCODERS)
def test_uuid_that_is_none_is_refused(world: World, encoding: str) -> None:
    encode = ENCODERS[encoding]
    values = TEXTS | UUIDS
    requests = {name: encode(changed(chunk_params(), b"qquuid", value)) for name, value in values.items()}
    assert world.attack(requests) == {}


@pytest.mark.parametrize("method", ["DELETE", "GET"])
def test_uuid_that_is_none_is_refused_in_an_address(world: World, method: str) -> None:
    def address(value: bytes) -> str:
        return "/uploads/" + urlencoded([(b"", value)])[1:]

    values = {name: value for name, value in (TEXTS | UUIDS).items() if value}
    assert world.attack({name: request(method, address(value)) for name, value in values.items()}) == {}


@pytest.mark.parametrize("encoding", [*UPLOADS, *DONE])
def test_name_is_only_a_name(world: World, encoding: str) -> None:
    values = TEXTS | NAMES
    requests = {
        name: ENCODERS[encoding](changed(simple_params(), b"qqfilename", value)) for name, value in values.items()
    }
    assert world.attack(requests) == {}


WHERE_NUMBERS_STAND = [
    *((encoding, parameter) for encoding in UPLOADS for parameter in NUMERIC),
    *((encoding, parameter) for encoding in ("done form", "done JSON") for parameter in TOTALS),
]


@pytest.mark.parametrize(("encoding", "parameter"), WHERE_NUMBERS_STAND, ids=str)
def test_number_that_is_none_is_refused(world: World, encoding: str, parameter: bytes) -> None:
    encode = ENCODERS[encoding]
    requests = {name: encode(changed(chunk_params(), parameter, value)) for name, value in NUMBERS.items()}
    assert world.attack(requests) == {}


@pytest.mark.parametrize("encoding", ["form", "raw", "done form", "done JSON"])
def test_names_of_parameters_are_only_names(world: World, encoding: str) -> None:
    requests = {name: ENCODERS[encoding]([*simple_params(), (key, b"value")]) for name, key in KEYS.items()}
    assert world.attack(requests) == {}


@pytest.mark.parametrize("parameter", ODD, ids=bytes.decode)
def test_rare_parameters_take_anything(world: World, parameter: bytes) -> None:
    encode = ENCODERS["form"]
    requests = {name: encode([(parameter, value), *simple_params()]) for name, value in TEXTS.items()}
    assert world.attack(requests) == {}


def repeated(params: Params, name: bytes, values: list[bytes]) -> Params:
    return [*((key, value) for key, value in params if key != name), *((name, value) for value in values)]


@pytest.mark.parametrize("encoding", ENCODERS)
def test_parameters_that_are_repeated_or_contradict_each_other(world: World, encoding: str) -> None:
    encode = ENCODERS[encoding]
    chunk = chunk_params()
    requests = {
        "two uuids": encode(repeated(chunk, b"qquuid", [GOOD_UUID, b".."])),
        "two uuids, the good one last": encode(repeated(chunk, b"qquuid", [b"..", GOOD_UUID])),
        "two indexes": encode(repeated(chunk, b"qqpartindex", [b"0", b"1"])),
        "two sizes": encode(repeated(chunk, b"qqtotalfilesize", [b"8", b"9999999999"])),
        "the same key 900 times": encode([*chunk, *[(b"a", b"b")] * 900]),
        "2000 fields": encode([*chunk, *((b"k%d" % number, b"v") for number in range(2000))]),
        "a leaf and a branch": encode([*chunk, (b"a", b"1"), (b"a[b]", b"2"), (b"a[b][c]", b"3"), (b"a", b"4")]),
        "a list with gaps": encode([*chunk, (b"a[0]", b"1"), (b"a[2]", b"2"), (b"a[x]", b"3")]),
        "an index, and no total": encode([pair for pair in chunk if pair[0] != b"qqtotalparts"]),
        "a total, and no index": encode([pair for pair in chunk if pair[0] != b"qqpartindex"]),
        "a thousand million parts of nothing": encode(
            changed(changed(chunk, b"qqtotalparts", b"1000000000"), b"qqtotalfilesize", b"4000000000")
        ),
        "the last of a thousand million parts": encode(
            changed(changed(chunk, b"qqtotalparts", b"1000000000"), b"qqpartindex", b"999999999")
        ),
        "as large as can be": encode(changed(chunk, b"qqtotalfilesize", b"9007199254740992")),
        "no parameter at all": encode([]),
    }
    assert world.attack(requests) == {}


def test_query_that_contradicts_the_form(world: World) -> None:
    def with_query(query: str) -> WireRequest:
        form = ENCODERS["form"](chunk_params())
        return form.with_url(f"/uploads/?{query}")

    requests = {
        "another uuid": with_query(f"qquuid={GOOD_UUID.decode()}"),
        "another index": with_query("qqpartindex=7&qqtotalparts=9"),
        "a method": with_query("_method=DELETE"),
        "another method": with_query("_method=PUT"),
        "no text": with_query("%ff=%fe&%00=%00"),
        "separators": with_query("&&&;;;==&=&%"),
        "2000 fields": with_query("&".join(f"a{number}=1" for number in range(2000))),
        "bytes that are not quoted": with_query("a=\xff\xfe&\xe2\x82=\xac"),
        "a megabyte": with_query("a=" + "b" * 2**20),
    }
    assert world.attack(requests) == {}
