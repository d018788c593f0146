"""The pipe between the thread that receives a chunk and the one that sends it to a store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from fineuploader_receiver.backends.pipe import Pipe, PipeBroken

PIECES = [bytes([number]) * (number % 7) for number in range(200)]


def read_all(pipe: Pipe, size: int) -> bytes:
    found = []
    while data := pipe.read(size):
        assert size < 0 or len(data) <= size
        found.append(data)
    return b"".join(found)


@pytest.mark.parametrize("size", [1, 5, 1000, -1])
def test_what_is_pushed_in_pieces_is_read_in_others(size: int) -> None:
    pipe = Pipe(capacity=10)
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read_all, pipe, size)
        for piece in PIECES:
            pipe.push(piece)
        pipe.end()
        assert reader.result() == b"".join(PIECES)


def test_full_pipe_waits_for_its_reader() -> None:
    pipe, pushed = Pipe(capacity=10), threading.Event()

    def push() -> None:
        pipe.push(b"1234567890")
        pipe.push(b"more")
        pushed.set()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(push)
        assert pipe.read(4) == b"1234"
        assert pushed.wait(30)
        assert (pipe.read(100), pipe.read(100)) == (b"567890", b"more")


@pytest.mark.parametrize("side", ["push", "read"])
def test_side_that_waits_hears_that_the_other_has_given_up(side: str) -> None:
    """Guards against a request that hangs for ever on a sender that died."""
    pipe = Pipe(capacity=1)
    wait: Callable[[], object] = pipe.read
    if side == "push":
        pipe.push(b"full")
        wait = partial(pipe.push, b"more")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        pipe.break_off()
        with pytest.raises(PipeBroken):
            waiting.result(30)


def test_pipe_stays_broken() -> None:
    pipe = Pipe()
    pipe.push(b"x")
    pipe.break_off()
    with pytest.raises(PipeBroken):
        pipe.read()
    with pytest.raises(PipeBroken):
        pipe.push(b"y")
