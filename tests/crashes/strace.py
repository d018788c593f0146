"""What a server asks of the kernel, as strace saw it: flushes, links, commits and answers in their order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALLS = "fsync,fdatasync,link,rename,unlink,write,sendto,sendmsg"
LINE = re.compile(r"(\d+) +(.*)")
UNFINISHED = "<unfinished ...>"
COMMIT = re.compile(r'"(\S+): COMMIT, after')
CALENDAR = ("year", "month", "day")
PATH = re.compile(r"<([^>]+)>|\"([^\"]+)\"")


def tracer(log: Path) -> tuple[str, ...]:
    """Return the command that watches another one and all its children."""
    return ("strace", "-D", "-f", "--seccomp-bpf", "-y", "-s", "200", "-e", f"trace={CALLS}", "-o", str(log))


def calls(log: Path) -> Iterator[str]:
    """Yield the calls in the order in which they returned."""
    begun: dict[str, str] = {}
    for line in log.read_text(errors="replace").splitlines():
        if not (found := LINE.match(line)):
            continue
        pid, call = found.groups()
        if call.endswith(UNFINISHED):
            begun[pid] = call.removesuffix(UNFINISHED)
        else:
            head, _, tail = call.partition(" resumed>")
            yield begun.pop(pid, "") + tail if head.startswith("<... ") else call


def events(log: Path, media: Path) -> Iterator[str]:
    """Yield what matters of the calls: what happens below MEDIA_ROOT, commits, and answers that all is well."""
    for call in calls(log):
        name = call.partition("(")[0]
        if name in ("sendto", "sendmsg", "write") and "HTTP/1.1 200" in call:
            yield "answer"
        elif name == "write" and (commit := COMMIT.search(call)):
            yield f"commit in {commit[1].removeprefix('lifecycle.')}"
        elif name in ("fsync", "fdatasync", "link", "rename", "unlink") and str(media) in call:
            yield f"{name} {plain(last_path(call), media)}"


def last_path(call: str) -> str:
    """Return the last path that a call names, by a descriptor or by itself."""
    in_brackets, in_quotes = PATH.findall(call)[-1]
    return str(in_brackets or in_quotes)


def plain(path: str, media: Path) -> str:
    """Return a path below MEDIA_ROOT without what chance and the calendar put into it."""
    below = path.removeprefix(str(media)).lstrip("/") or "media"
    below = re.sub(r"(\d+\.)?[0-9a-f]{32}", lambda found: "chunk" if found[1] else "*", below)
    return re.sub(r"\d{4}(/\d\d)*", lambda found: "/".join(CALENDAR[: found[0].count("/") + 1]), below)
