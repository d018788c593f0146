"""Random schedules: pages of two owners send, repeat, lie, reset, delete and retry; rows, bytes and answers get lost;
requests stand still while others run to their end.

After every step: what was told is true, finished files are what they were, counters and limits hold, and nothing is
kept that no row names. In the end every page arrives by doing what the answers say, and deleting leaves nothing.
``TEST_EXAMPLES`` asks for that many random examples per test; without it the examples are few and always the same.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from django.db.models import Q
from django.test import Client
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fakeuploader import WireRequest
from fineuploader_receiver.models import UploadSession
from flowtools import ENCODINGS, chunker, pattern
from modeltools.attempts import POINTS, Attempt
from modeltools.pages import KINDS, LIES, Tab
from modeltools.site import BACKENDS, LARGEST_FILE, limited_site
from randomness import examples

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PART_SIZES = (1, 2, 3.5, 10 / 3, 7, 10, 16.25)
MOST_PARTS = 5
MOST_STANDING = 2
STRAY = 1000

files = st.builds(
    lambda part_size, share: (part_size, min(int(part_size * share), LARGEST_FILE // 2)),
    st.sampled_from(PART_SIZES),
    st.floats(0, MOST_PARTS),
)
setups = st.tuples(st.sampled_from(sorted(KINDS)), files, st.sampled_from(sorted(ENCODINGS)))
tabs = st.integers(0, 2)
indexes = st.integers(0, MOST_PARTS - 1)
positions = st.integers(0, 100)


@dataclass
class Standing:
    """A request that stands still, whose it is, and how often its upload was removed when it began."""

    attempt: Attempt
    tab: Tab
    removed: int
    deletes: bool


class Schedule(RuleBasedStateMachine):
    """Three pages: two files of one owner, and a file of another owner under the first one's uuid."""

    def __init__(self, storage: str, people: Iterable[tuple[User, Client]]) -> None:
        super().__init__()
        self.people = list(people)
        self.opened = ExitStack()
        self.site = self.opened.enter_context(limited_site(storage))
        self.tabs: list[Tab] = []
        self.standing: list[Standing] = []
        self.strays = 0

    @initialize(setups=st.tuples(setups, setups, setups))
    def open_pages(self, setups: tuple[Any, ...]) -> None:
        uuids = [str(uuid.UUID(int=number, version=4)) for number in (1, 2, 1)]
        owners = [self.people[0], self.people[0], self.people[1]]
        for (kind, (part_size, size), encoding), (user, client), number in zip(setups, owners, uuids, strict=True):
            data = pattern(size + len(self.tabs))[len(self.tabs) :]
            tab = Tab.open(user, client, kind, data, part_size=part_size, encoding=encoding, uuid=number)
            self.tabs.append(tab)

    # What pages do.

    @rule(number=tabs, order=st.permutations(range(3)))
    def send_next(self, number: int, order: list[int]) -> None:
        if self.tabs[number].is_active:
            self.tabs[number].send_next(order)

    @rule(number=tabs, order=st.permutations(range(3)))
    def send_the_rest(self, number: int, order: list[int]) -> None:
        for _ in range(MOST_PARTS + 1):
            self.send_next(number, order)

    @rule(number=tabs)
    def send_unheard(self, number: int) -> None:
        tab = self.tabs[number]
        if tab.is_active:
            tab.send_unheard(tab.next_request())

    @rule(number=tabs, missing=st.integers(1, 80), breaks=st.booleans())
    def send_cut(self, number: int, missing: int, breaks: bool) -> None:
        tab = self.tabs[number]
        request = tab.next_request()
        if tab.is_active and len(request.body) > missing:
            answer = tab.page.send(request.cut(len(request.body) - missing, breaks=breaks))
            assert answer.status != 200

    @rule(number=tabs, position=positions)
    def repeat(self, number: int, position: int) -> None:
        """A proxy or a browser sends again what was sent long ago."""
        tab = self.tabs[number]
        if tab.sent and (tab.kind.sure or not tab.is_active):
            tab.send_unheard(tab.sent[position % len(tab.sent)])

    @rule(number=tabs, index=indexes)
    def send_again(self, number: int, index: int) -> None:
        """Another tab with the same resume record, say, sends one of the chunks."""
        tab = self.tabs[number]
        if index in tab.known_indexes:
            tab.send_unheard(tab.next_request(index))

    @rule(number=tabs)
    def finish_early(self, number: int) -> None:
        tab = self.tabs[number]
        if tab.is_active and tab.has_done and tab.upload.remaining:
            tab.finish()

    @rule(number=tabs)
    def finish_again(self, number: int) -> None:
        tab = self.tabs[number]
        if tab.has_done:
            tab.send_unheard(tab.page.done_request(tab.upload))

    @rule(number=tabs, parts=st.integers(-1, 1), size=st.integers(-1, 1))
    def finish_with_wrong_totals(self, number: int, parts: int, size: int) -> None:
        tab = self.tabs[number]
        if tab.is_active and tab.has_done and (parts or size):
            tab.lie_about_totals(parts=parts, size=size)

    @rule(number=tabs, name=st.sampled_from(sorted(LIES)), index=indexes)
    def lie(self, number: int, name: str, index: int) -> None:
        tab = self.tabs[number]
        if tab.is_active and tab.upload.chunked and index < tab.upload.total_parts:
            tab.lie(name, index)

    @rule(number=tabs, index=indexes)
    def lie_with_digest(self, number: int, index: int) -> None:
        if index in self.tabs[number].known_indexes:
            self.tabs[number].lie_with_digest(index)

    @rule(number=tabs)
    def close_and_resume(self, number: int) -> None:
        if self.tabs[number].is_active:
            self.tabs[number].close_and_resume()

    @rule(number=tabs, note=st.sampled_from("abc"))
    def change_note(self, number: int, note: str) -> None:
        self.tabs[number].change_note(note)

    @rule(number=tabs, file=files)
    def change_file(self, number: int, file: tuple[float, int]) -> None:
        tab = self.tabs[number]
        row = tab.row()
        stands = any(standing.tab is tab for standing in self.standing)
        if tab.is_active and not stands and file[1] != tab.upload.size and (row is None or row.state == "receiving"):
            tab.change_file(pattern(file[1] + 1)[1:])

    @rule(number=tabs, size=st.integers(11, LARGEST_FILE))
    def begin_another(self, number: int, size: int) -> None:
        """The person begins something and forgets it: it takes up room until it expires."""
        self.strays += 1
        page = chunker(self.tabs[number].client)
        page.send_chunk(page.add(pattern(size), uuid=str(uuid.UUID(int=STRAY + self.strays, version=4))), 0)

    @rule(number=tabs)
    def begin_a_large_one(self, number: int) -> None:
        page = self.tabs[number].page
        upload = page.add(pattern(LARGEST_FILE + 1))
        answer = page.send(page.chunk_request(upload, 0) if upload.chunked else page.simple_request(upload))
        assert (answer.status, answer.json()["preventRetry"]) == (413, True)
        assert not UploadSession.objects.filter(uuid=upload.uuid).exists()

    # What happens behind the pages' backs.

    @rule(number=tabs)
    def delete(self, number: int) -> None:
        if self._may_lose(number):
            self.tabs[number].delete()

    @rule(number=tabs)
    def expire(self, number: int) -> None:
        if self._may_lose(number):
            self.site.expire(self.tabs[number].mine)

    @rule(number=tabs)
    def lose_bytes(self, number: int) -> None:
        if self._may_lose(number):
            self.site.lose_bytes(self.tabs[number].mine)

    @rule(number=tabs)
    def lose_rows(self, number: int) -> None:
        if self.tabs[number].kind.resets or self.tabs[number].told:
            self.site.lose_rows(self.tabs[number].mine)
            self.tabs[number].note_removal()

    @rule()
    def purge(self) -> None:
        self.site.purge()

    @precondition(lambda self: all(tab.kind.resets or not tab.is_active for tab in self.tabs))
    @rule()
    def forget_tombstones(self) -> None:
        self.site.forget_tombstones()

    @rule()
    def lapse(self) -> None:
        self.site.lapse()

    # Requests that stand still.

    @rule(number=tabs, point=st.sampled_from(POINTS), index=st.none() | indexes)
    def send_and_stand(self, number: int, point: str, index: int | None) -> None:
        tab = self.tabs[number]
        if index is not None and index not in tab.known_indexes:
            index = None
        if tab.is_active:
            self._stand(tab, tab.next_request(index), point)

    @rule(number=tabs)
    def delete_and_stand(self, number: int) -> None:
        if self._may_lose(number):
            tab = self.tabs[number]
            self._stand(tab, tab.page.delete_request(tab.upload.uuid), "discard", deletes=True)

    @precondition(lambda self: self.standing)
    @rule(position=positions)
    def go_on(self, position: int) -> None:
        self._end(self.standing.pop(position % len(self.standing)))

    # What must hold.

    @invariant()
    def all_is_well(self) -> None:
        self.site.check_rows()
        self.site.check_completions()
        if not self.standing:
            self.site.check_bytes()

    def teardown(self) -> None:
        try:
            while self.standing:
                self._end(self.standing.pop())
            if self.tabs:
                self._arrive()
                self._vanish()
        finally:
            for standing in self.standing:
                standing.attempt.go_on()
            self.opened.close()

    def _arrive(self) -> None:
        """Every page ends in success, and nothing is left but the files."""
        self.site.lapse()
        self.site.expire(Q(uuid__gt=uuid.UUID(int=STRAY, version=4)))
        for tab in self.tabs:
            if tab.is_active:
                tab.arrive()
        self.site.check_rows()
        self.site.check_completions()
        self.site.check_tidy()

    def _vanish(self) -> None:
        """Deleting, whatever was told, removes every byte and every row."""
        for tab in self.tabs:
            tab.delete()
        self.site.check_empty()

    def _may_lose(self, number: int) -> bool:
        tab = self.tabs[number]
        return tab.kind.bears_losses or not tab.is_active

    def _stand(self, tab: Tab, request: WireRequest, point: str, *, deletes: bool = False) -> None:
        if len(self.standing) >= MOST_STANDING:
            return
        standing = Standing(Attempt(tab.client, request, point), tab, tab.removed, deletes)
        tab.sent.append(request)
        if standing.attempt.begin():
            self.standing.append(standing)
        else:
            self._end(standing)

    def _end(self, standing: Standing) -> None:
        answer, tab = standing.attempt.go_on(), standing.tab
        if standing.deletes:
            tab.note_removal()
        elif tab.removed == standing.removed:
            tab.check_answer(answer)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("storage", sorted(BACKENDS))
def test_whatever_happens_on_the_way_files_are_exact_or_not_there(
    storage: str, user: User, client: Client, other_user: User, other_client: Client
) -> None:
    people = [(user, client), (other_user, other_client)]
    machine: Any = functools.partial(Schedule, storage, people)
    run_state_machine_as_test(machine, settings=examples(8, steps=30))
