"""The names of the wire, and what a site calls them instead."""

from __future__ import annotations

from fineuploader_receiver.protocol.names import RESERVED, WIRE_NAMES, ParamNames


def test_default_names_are_the_client_s() -> None:
    assert WIRE_NAMES == (
        "qquuid",
        "qqfilename",
        "qqtotalfilesize",
        "qqfile",
        "qqpartindex",
        "qqpartbyteoffset",
        "qqchunksize",
        "qqtotalparts",
        "qqresume",
    )
    assert ParamNames.renamed({}) == ParamNames()
    assert ParamNames().taken == RESERVED | set(WIRE_NAMES)


def test_renamed_names() -> None:
    names = ParamNames.renamed({"qquuid": "id", "qqfile": "data"})
    assert (names.uuid, names.file, names.filename) == ("id", "data", "qqfilename")
    assert names.taken == {"id", "data"} | RESERVED | set(WIRE_NAMES) - {"qquuid", "qqfile"}
