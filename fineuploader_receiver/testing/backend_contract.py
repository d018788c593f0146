"""What every chunk backend has to do, as tests: subclass ``BackendContract`` and give it a storage and a backend.

    class TestMyBackend(BackendContract):
        @pytest.fixture
        def storage(self) -> Storage:
            return MyStorage()

        def make_backend(self, storage: Storage, **options: Any) -> Backend:
            return MyBackend(storage, **options)

The duties are those of ``fineuploader_receiver.backends.base``. The class attributes say what a backend or its storage
cannot do; everything else is required.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from django.core.files.storage import Storage

from ..backends.base import Backend, Staging, StagingLost, StoredChunk
from .chunks import (
    PIECES,
    WHOLE,
    an_hour_ago,
    assemble,
    begin,
    content,
    end_late_writer,
    final_name,
    finish,
    fresh_name,
    in_an_hour,
    kept,
    listed,
    peak,
    put,
    put_pieces,
    token,
    whole,
)

MIB = 2**20
ORDERS = [(0, 1, 2, 3), (3, 2, 1, 0), (2, 1, 0, 3), (1, 3, 0, 2)]
FOREIGN_NAMES = ("notes.txt", "0123456789abcdef0123456789abcdeg", "0123456789ABCDEF0123456789ABCDEF", "0123")


class BackendContract:
    """The suite. A test makes its own names, as the lifecycle does, so that runs on a shared store do not meet."""

    can_list = True
    """Whether the storage can list, so that orphans can be found."""
    keeps_in_memory = False
    """Whether the storage itself keeps everything in memory, so that memory cannot be measured."""
    late_attempts_may_replace = False
    """Whether a late attempt that stores other bytes may cost the upload: then its file must not come into being."""
    most_memory: ClassVar[int] = 4 * MIB
    """How many bytes a writer, or assembling, may hold at once."""

    # What a subclass gives.

    @pytest.fixture
    def storage(self) -> Storage:
        raise NotImplementedError

    def make_backend(self, storage: Storage, **options: Any) -> Backend:
        raise NotImplementedError

    def names(self, storage: Storage) -> set[str]:
        """Everything the storage holds, staged or finished; override where it cannot list."""
        return set(listed(storage))

    def lose(self, backend: Backend, staging: Staging, chunk: StoredChunk) -> None:
        """Make a committed chunk's bytes vanish behind the backend's back."""
        backend.storage.delete(chunk.key)

    # What the tests share.

    @pytest.fixture
    def backend(self, storage: Storage) -> Backend:
        return self.make_backend(storage)

    @pytest.fixture
    def staging(self, backend: Backend) -> Iterator[Staging]:
        place = begin(backend)
        yield place
        backend.discard(place, (), published=False)

    # Writing.

    def test_every_upload_has_a_place_of_its_own(self, backend: Backend) -> None:
        places = [begin(backend) for _ in range(5)]
        assert len({place.name for place in places}) == 5
        for place in places:
            assert backend.discard(place, (), published=False) is True

    @pytest.mark.parametrize("order", ORDERS, ids=str)
    def test_chunks_in_any_order_make_the_file(self, backend: Backend, staging: Staging, order: Sequence[int]) -> None:
        chunks = put_pieces(backend, staging, order)
        name = assemble(backend, staging, chunks)
        assert content(backend, name) == whole(backend)

    def test_chunks_of_two_uploads_do_not_mix(self, backend: Backend, staging: Staging) -> None:
        other = begin(backend)
        ours = [put(backend, staging, 0, b"ours")]
        theirs = [put(backend, other, 0, b"theirs, longer")]
        first = assemble(backend, staging, ours)
        second = assemble(backend, other, theirs)
        assert (content(backend, first), content(backend, second)) == (b"ours", b"theirs, longer")
        backend.discard(other, theirs, published=True)

    def test_bytes_may_come_in_any_pieces_and_as_views_that_do_not_last(self, backend: Backend) -> None:
        place = begin(backend, chunks=1)
        writer = backend.open_chunk(place, index=0, offset=0, size=None, token=token())
        buffer = bytearray(8)
        for start in range(0, len(WHOLE), 8):
            piece = WHOLE[start : start + 8]
            buffer[: len(piece)] = piece
            writer.write(memoryview(buffer)[: len(piece)])
        writer.write(b"")
        chunk = StoredChunk(index=0, offset=0, size=len(WHOLE), key=kept(writer))
        name = assemble(backend, place, [chunk])
        assert content(backend, name) == WHOLE
        backend.discard(place, [chunk], published=True)

    def test_empty_file_without_a_chunk(self, backend: Backend, staging: Staging) -> None:
        name = assemble(backend, staging, ())
        assert content(backend, name) == b""

    def test_empty_file_of_one_empty_chunk(self, backend: Backend, staging: Staging) -> None:
        chunks = [put(backend, staging, 0, b"")]
        name = assemble(backend, staging, chunks)
        assert content(backend, name) == b""

    def test_the_commit_returns_a_short_key_also_for_the_last_chunk_there_can_be(self, backend: Backend) -> None:
        count = backend.most_chunks or 2**31
        place = begin(backend, chunks=count)
        writer = backend.open_chunk(place, index=count - 1, offset=0, size=1, token=token())
        assert len(writer.key) <= 255
        writer.write(b"x")
        assert len(kept(writer)) <= 255
        writer.abort()
        backend.discard(place, (), published=False)

    # Attempts that failed, were repeated or overtaken.

    def test_aborted_attempt_does_not_count(self, backend: Backend, staging: Staging) -> None:
        writer = backend.open_chunk(staging, index=1, offset=17, size=None, token=token())
        writer.write(b"broken off, and m")
        writer.abort()
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        name = assemble(backend, staging, chunks)
        assert content(backend, name) == whole(backend)

    def test_attempt_may_be_aborted_after_its_commit(self, backend: Backend, staging: Staging) -> None:
        writer = backend.open_chunk(staging, index=1, offset=17, size=None, token=token())
        writer.write(b"never recorded..")
        kept(writer)
        writer.abort()
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        name = assemble(backend, staging, chunks)
        assert content(backend, name) == whole(backend)

    def test_attempt_may_be_aborted_again(self, backend: Backend, staging: Staging) -> None:
        writer = backend.open_chunk(staging, index=0, offset=0, size=None, token=token())
        writer.write(b"x")
        writer.abort()
        writer.abort()

    def test_chunk_that_was_committed_and_never_recorded_is_sent_again_with_other_bytes(
        self, backend: Backend, staging: Staging
    ) -> None:
        put(backend, staging, 1, b"OTHER BYTES HERE", offset=17)
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        name = assemble(backend, staging, chunks)
        assert content(backend, name) == whole(backend)

    def test_writer_that_was_only_opened_harms_nothing(self, backend: Backend, staging: Staging) -> None:
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        writer = backend.open_chunk(staging, index=1, offset=17, size=None, token=token())
        writer.abort()
        name = assemble(backend, staging, chunks)
        assert content(backend, name) == whole(backend)

    @pytest.mark.parametrize("end", ["silent", "abort", "commit", "commit and abort"])
    def test_overtaken_writer_cannot_change_the_winner_s_bytes(
        self, backend: Backend, staging: Staging, end: str
    ) -> None:
        late = backend.open_chunk(staging, index=1, offset=17, size=16, token=token())
        late.write(b"wrong!!!")
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        late.write(b"WRONG!!!")
        finish(late, end)
        try:
            name = assemble(backend, staging, chunks)
        except StagingLost:
            assert self.late_attempts_may_replace
            assert not backend.storage.exists(final_name(backend, staging))
        else:
            assert content(backend, name) == whole(backend)
        late.abort()

    def test_overtaken_writer_that_lives_on_cannot_change_the_finished_file(
        self, backend: Backend, staging: Staging
    ) -> None:
        late = backend.open_chunk(staging, index=1, offset=17, size=16, token=token())
        late.write(b"wrong!!!")
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        name = assemble(backend, staging, chunks)
        backend.discard(staging, chunks, published=True)
        end_late_writer(late)
        assert content(backend, name) == whole(backend)
        assert backend.discard(staging, chunks, published=True) is True
        assert content(backend, name) == whole(backend)

    def test_many_attempts_at_one_chunk_leave_one_winner(self, backend: Backend, staging: Staging) -> None:
        writers = [backend.open_chunk(staging, index=0, offset=0, size=None, token=token()) for _ in range(4)]
        assert len({writer.key for writer in writers}) == 4
        for number, writer in enumerate(writers):
            writer.write(b"attempt %d" % number)
        for writer in writers[:-1]:
            writer.abort()
        chunk = StoredChunk(index=0, offset=0, size=9, key=kept(writers[-1]))
        name = assemble(backend, staging, [chunk])
        assert content(backend, name) == b"attempt 3"

    def test_attempt_that_died_is_forgotten_by_the_one_that_takes_over(
        self, backend: Backend, staging: Staging, storage: Storage
    ) -> None:
        """Its bytes are kept, no row will ever name them, and the storage may be one that cannot list."""
        before = self.names(storage)
        place = begin(backend)
        dead = backend.open_chunk(place, index=1, offset=17, size=None, token=token())
        key = dead.key
        dead.write(PIECES[1])
        kept(dead)
        chunks = put_pieces(backend, place, (0, 2, 3, 1))
        backend.forget(place, key)
        backend.forget(place, key)
        name = assemble(backend, place, chunks)
        assert content(backend, name) == whole(backend)
        backend.retract(name)
        assert backend.discard(place, chunks, published=False) is True
        assert self.names(storage) == before

    def test_writer_that_opens_while_the_file_is_complete_cannot_change_it(
        self, backend: Backend, staging: Staging
    ) -> None:
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        name = assemble(backend, staging, chunks)
        backend.discard(staging, chunks, published=True)
        try:
            late = backend.open_chunk(staging, index=1, offset=17, size=16, token=token())
        except StagingLost:
            pass
        else:
            end_late_writer(late)
        assert content(backend, name) == whole(backend)

    # Assembling.

    def test_assembling_again_makes_the_file_once_per_name(self, backend: Backend, staging: Staging) -> None:
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        names = [assemble(backend, staging, chunks) for _ in range(2)]
        assert len(set(names)) == (1 if backend.fixed_name else 2)
        assert [content(backend, name) for name in names] == [whole(backend)] * 2

    def test_attempts_that_assemble_at_once_both_make_the_file(self, backend: Backend, staging: Staging) -> None:
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        with ThreadPoolExecutor(2) as pool:
            names = list(pool.map(lambda _: assemble(backend, staging, chunks), range(2)))
        assert [content(backend, name) for name in names] == [whole(backend)] * 2

    def test_loser_takes_back_its_own_file_only(self, backend: Backend, staging: Staging) -> None:
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        loser, winner = (assemble(backend, staging, chunks) for _ in range(2))
        if backend.fixed_name:
            # There is one file, and the lifecycle lets no loser take it back.
            assert loser == winner == final_name(backend, staging)
            return
        backend.retract(loser)
        assert not backend.storage.exists(loser)
        assert content(backend, winner) == whole(backend)

    def test_taking_back_is_harmless_again_and_for_what_never_was(self, backend: Backend, staging: Staging) -> None:
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        name = assemble(backend, staging, chunks)
        backend.retract(fresh_name())
        assert content(backend, name) == whole(backend)
        backend.retract(name)
        backend.retract(name)
        assert not backend.storage.exists(name)
        if not backend.fixed_name:
            assert content(backend, assemble(backend, staging, chunks)) == whole(backend)

    def test_late_attempt_at_assembling_finds_the_finished_file(self, backend: Backend, staging: Staging) -> None:
        """A process that stood still goes on when all is over, and must neither harm the file nor call it lost."""
        if not backend.fixed_name:
            return
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        name = assemble(backend, staging, chunks)
        assert backend.discard(staging, chunks, published=True) is True
        assert assemble(backend, staging, chunks) == name
        assert content(backend, name) == whole(backend)

    def test_late_attempt_at_assembling_makes_no_file_of_a_removed_upload(
        self, backend: Backend, staging: Staging
    ) -> None:
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        name = assemble(backend, staging, chunks)
        assert backend.discard(staging, chunks, published=False) is True
        backend.retract(name)
        name = final_name(backend, staging)
        with pytest.raises(StagingLost):
            assemble(backend, staging, chunks, name=name)
        backend.retract(name)
        assert not backend.storage.exists(name)

    def test_overtaken_chunks_too_are_assembled_twice(self, backend: Backend, staging: Staging) -> None:
        late = backend.open_chunk(staging, index=1, offset=17, size=16, token=token())
        late.write(b"wrong!!!")
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        names = [assemble(backend, staging, chunks)]
        late.abort()
        names += [assemble(backend, staging, chunks) for _ in range(2)]
        assert [content(backend, name) for name in names] == [whole(backend)] * 3

    def test_finished_file_outlives_the_staging(self, backend: Backend, staging: Staging) -> None:
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        name = assemble(backend, staging, chunks)
        assert backend.discard(staging, chunks, published=True) is True
        assert content(backend, name) == whole(backend)

    def test_finished_file_is_read_from_any_place(self, backend: Backend, staging: Staging) -> None:
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        data = whole(backend)
        name = assemble(backend, staging, chunks)
        with backend.open(name) as file:
            assert file.read(5) == data[:5]
            file.seek(20)
            assert file.read(3) == data[20:23]
            file.seek(0)
            assert file.read() == data
            assert file.read() == b""

    def test_file_that_is_not_there_cannot_be_read(self, backend: Backend) -> None:
        with pytest.raises(FileNotFoundError), backend.open(fresh_name()) as file:
            file.read()

    @pytest.mark.parametrize("lost", range(4))
    def test_vanished_bytes_make_no_file(self, backend: Backend, staging: Staging, lost: int) -> None:
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        self.lose(backend, staging, chunks[lost])
        name = final_name(backend, staging)
        with pytest.raises(StagingLost):
            assemble(backend, staging, chunks, name=name)
        backend.retract(name)
        assert not backend.storage.exists(name)

    def test_discarded_bytes_make_no_file(self, backend: Backend, staging: Staging) -> None:
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        backend.discard(staging, chunks, published=False)
        name = final_name(backend, staging)
        with pytest.raises(StagingLost):
            assemble(backend, staging, chunks, name=name)
        backend.retract(name)
        assert not backend.storage.exists(name)

    # Discarding.

    def test_discarding_leaves_nothing_and_may_be_repeated(
        self, backend: Backend, staging: Staging, storage: Storage
    ) -> None:
        before = self.names(storage)
        place = begin(backend)
        chunks = put_pieces(backend, place, (3, 1, 0, 2))
        late = backend.open_chunk(place, index=1, offset=17, size=None, token=token())
        late.write(b"x")
        late.abort()
        assert backend.discard(place, chunks, published=False) is True
        assert self.names(storage) == before
        assert backend.discard(place, chunks, published=False) is True
        assert backend.discard(place, chunks, published=True) is True

    def test_discarding_takes_what_was_only_claimed(self, backend: Backend, staging: Staging, storage: Storage) -> None:
        before = self.names(storage)
        place = begin(backend)
        writer = backend.open_chunk(place, index=7, offset=0, size=None, token=token())
        claimed = StoredChunk(index=7, offset=0, size=1, key=writer.key)
        writer.write(b"x")
        kept(writer)
        assert backend.discard(place, [claimed], published=False) is True
        assert self.names(storage) == before

    def test_discarding_one_upload_leaves_the_others(self, backend: Backend, staging: Staging) -> None:
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        other = begin(backend)
        backend.discard(other, [put(backend, other, 0, b"other")], published=False)
        name = assemble(backend, staging, chunks)
        assert content(backend, name) == whole(backend)

    # Looking around.

    def test_orphans_are_places_of_ours_that_are_old_enough(self, backend: Backend, staging: Staging) -> None:
        if not self.can_list:
            assert list(backend.orphans(before=in_an_hour())) == []
            return
        put(backend, staging, 0, b"staged")
        assert staging in list(backend.orphans(before=in_an_hour()))
        assert staging not in list(backend.orphans(before=an_hour_ago()))

    def test_orphan_is_gone_once_it_is_discarded(self, backend: Backend) -> None:
        place = begin(backend)
        put(backend, place, 0, b"staged")
        if self.can_list:
            assert place in list(backend.orphans(before=in_an_hour()))
            # As the purge does: without knowing its chunks.
            assert backend.discard(place, (), published=False) is True
        assert place not in list(backend.orphans(before=in_an_hour()))

    def test_check_finds_nothing_and_leaves_nothing(self, backend: Backend, staging: Staging, storage: Storage) -> None:
        before = self.names(storage)
        assert backend.check() == []
        assert self.names(storage) == before

    def test_free_space_is_a_number_of_bytes_or_unknown(self, backend: Backend, staging: Staging) -> None:
        free = backend.free_space()
        assert free is None or free > 0

    # Memory.

    def test_memory_does_not_grow_with_the_chunk(self, backend: Backend, staging: Staging) -> None:
        if self.keeps_in_memory:
            return
        pieces = itertools.repeat(secrets.token_bytes(64 * 1024), 1024)
        chunk, staged = peak(lambda: put(backend, staging, 0, pieces, size=64 * MIB))
        assert chunk.size == 64 * MIB
        assert staged < self.most_memory
        name, assembled = peak(lambda: assemble(backend, staging, [chunk]))
        assert assembled < self.most_memory
        assert backend.storage.size(name) == chunk.size
        backend.discard(staging, [chunk], published=False)
        backend.retract(name)
