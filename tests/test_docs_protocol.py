"""The page about the client's protocol: whoever follows a reference to one of its sections arrives there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docpages import ROOT, read_page

NUMBER = r"\d+(?:\.\d+)?"
REFERENCE = re.compile(rf"docs/protocol\.md,\s+sections?\s+({NUMBER})(?:\s+and\s+({NUMBER}))?")
OTHER_PLACE = re.compile(r"(?<!docs/)\bprotocol\.md")
REFERENCE_WITHIN = re.compile(rf"\bsection ({NUMBER})")

SOURCES = sorted(path for folder in ("fineuploader_receiver", "tests") for path in (ROOT / folder).rglob("*.py"))


def numbers_of_sections() -> list[str]:
    return re.findall(rf"^#+ ({NUMBER}) \S", read_page("protocol"), flags=re.MULTILINE)


def references(source: Path) -> list[str]:
    return [number for match in REFERENCE.finditer(source.read_text("utf-8")) for number in match.groups() if number]


def name(source: Path) -> str:
    return source.relative_to(ROOT).as_posix()


CITING = [source for source in SOURCES if references(source)]


def test_source_refers_to_the_page() -> None:
    assert ROOT / "fineuploader_receiver" / "protocol" / "requests.py" in CITING


def test_numbers_of_sections_are_unique() -> None:
    numbers = numbers_of_sections()

    assert sorted(set(numbers)) == sorted(numbers)


@pytest.mark.parametrize("source", CITING, ids=name)
def test_every_section_that_the_source_refers_to_exists(source: Path) -> None:
    assert set(references(source)) <= set(numbers_of_sections())


def test_every_section_that_the_page_refers_to_exists() -> None:
    within = set(REFERENCE_WITHIN.findall(read_page("protocol")))

    assert within
    assert within <= set(numbers_of_sections())


def test_references_name_the_page_by_its_path_in_the_repository() -> None:
    """The fault: docstrings referred to a page that the repository did not have."""
    assert [name(source) for source in SOURCES if OTHER_PLACE.search(source.read_text("utf-8"))] == []
