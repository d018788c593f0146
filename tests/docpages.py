"""The documentation's Markdown, taken apart: pages, and the code blocks in them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md"))

_FENCED = re.compile(
    r"^(?P<indent> *)```(?:\{code-block\} (?P<directive>\S+)|(?P<language>\w[\w+]*))\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
_CAPTION = re.compile(r":caption: (?P<file>.+)\n\n?")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A code block: `file` is the file that the page says it is (a part of), empty where it names none."""

    page: str
    line: int
    language: str
    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}.md:{self.line}"


def read_page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text("utf-8")


def blocks_of(page: str) -> list[Block]:
    """The code blocks of a page that say what language they are in, from top to bottom."""
    text = read_page(page)
    found = []
    for match in _FENCED.finditer(text):
        body = textwrap.dedent(match["text"])
        caption = _CAPTION.match(body)
        found.append(
            Block(
                page=page,
                line=text.count("\n", 0, match.start()) + 1,
                language=match["directive"] or match["language"],
                file=caption["file"] if caption else "",
                text=body[caption.end() :] if caption else body,
            )
        )
    return found


def all_blocks(language: str, *, file: str | None = None) -> list[Block]:
    """Every block of the documentation in a language, only those of one file where that is given."""
    blocks = [block for page in PAGES for block in blocks_of(page)]
    return [block for block in blocks if block.language == language and file in (None, block.file)]


def table_rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first header is `heading`."""
    _, found, rest = read_page(page).partition(f"\n| {heading} |")
    assert found, f"{page}.md has no table that begins with {heading}"
    lines = rest.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
