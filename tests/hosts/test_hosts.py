"""Three hosts that share a database and a store: chunks of one file arrive at all of them, and one of them dies."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakeuploader import FakeUploader, SocketTransport
from fakeuploader.options import ClientOptions
from fakeuploader.uploads import ClientUpload
from flowtools import CSRF, TOKEN, pattern
from hosts.cluster import Cluster
from hosts.conftest import Place
from livesite.server import log_in

FILES = 6
ATTEMPTS = 40


def page_at(port: int, cookies: dict[str, str], place: Place) -> FakeUploader:
    options = ClientOptions(
        endpoint="/uploads/",
        delete_endpoint="/uploads/",
        custom_headers=CSRF,
        part_size=place.part,
        chunking=True,
        concurrent=True,
        max_connections=4,
        success_endpoint="/uploads/done",
    )
    return FakeUploader(SocketTransport("127.0.0.1", port, timeout=60, cookies=cookies), options, parallel=True)


@pytest.fixture
def cookies(site: Cluster) -> dict[str, str]:
    """Those of a signed-in person."""
    return {"sessionid": log_in(site.url), "csrftoken": TOKEN}


@functools.cache
def data_of(size: int, number: int) -> bytes:
    return pattern(size + number * 10_007)


def digests(uploads: dict[str, bytes]) -> dict[str, str]:
    return {uuid: hashlib.sha256(data).hexdigest() for uuid, data in uploads.items()}


def check_all(site: Cluster, place: Place, sent: dict[str, bytes]) -> None:
    """Every file is exact, was completed once, and nothing else is left in the store when the purge has run.

    That tidies what a dead host had still to, the places that it had made and not written down, and what a late copy of
    a chunk still had in its hands when the upload was completed.
    """
    site.hosts[2].run("purge_expired_uploads", "--orphans", "--verbosity", "0", HOSTS_A_DAY_LATER="yes")
    rows = site.uploads()
    assert {row["uuid"]: row["sha256"] for row in rows} == digests(sent)
    assert sorted(site.signals("upload_completed")) == sorted(sent)
    assert place.names() == {row["file"] for row in rows}


def upload_all(page: FakeUploader, uploads: list[ClientUpload]) -> list[bool]:
    with ThreadPoolExecutor(len(uploads)) as pool:
        return list(pool.map(lambda upload: page.upload(upload, attempts=ATTEMPTS).success, uploads))


@contextlib.contextmanager
def purging(site: Cluster) -> Iterator[None]:
    """Let one host purge, again and again, while the block runs."""
    stop = threading.Event()

    def purge() -> None:
        while not stop.wait(0.2):
            site.hosts[0].run("purge_expired_uploads", "--orphans", "--verbosity", "0")

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(purge)
        try:
            yield
        finally:
            stop.set()
            ended.result()


def test_host_that_dies_and_is_replaced_costs_no_file(site: Cluster, place: Place, cookies: dict[str, str]) -> None:
    page = page_at(site.port, cookies, place)
    uploads = [page.add(data_of(place.size, number)) for number in range(FILES)]
    with purging(site), ThreadPoolExecutor(1) as pool:
        outcomes = pool.submit(upload_all, page, uploads)
        while len(page.log) < FILES * 3 and not outcomes.done():
            time.sleep(0.01)
        site.replace(site.hosts[1])
        assert not outcomes.done()
        assert outcomes.result() == [True] * FILES
    while not all(host.events() for host in site.hosts if host.process is not None):
        # The new one may have come too late for these.
        uploads.append(page.add(data_of(place.size, len(uploads))))
        assert page.upload(uploads[-1], attempts=ATTEMPTS).success
    check_all(site, place, {upload.uuid: data_of(place.size, number) for number, upload in enumerate(uploads)})


def test_success_request_sent_to_two_hosts_at_once_completes_once(
    site: Cluster, place: Place, cookies: dict[str, str]
) -> None:
    page = page_at(site.port, cookies, place)
    uploads = [page.add(data_of(place.size, number)) for number in range(4)]
    for upload in uploads:
        for index in range(upload.total_parts - 1):
            assert page.send_chunk(upload, index).success
    pages = [page_at(host.port, cookies, place) for host in site.hosts]
    for upload in uploads:
        with ThreadPoolExecutor(6) as pool:
            last = [pool.submit(one.send_chunk, upload, upload.total_parts - 1) for one in pages]
            assert [answer.result().success for answer in last] == [True] * 3
            done = [pool.submit(one.send, one.done_request(upload)) for one in pages for _ in range(2)]
            answers = [(answer.result().status, answer.result().json()) for answer in done]
        assert answers == [(200, {"success": True, "uuid": upload.uuid, "complete": True})] * 6
    check_all(site, place, {upload.uuid: data_of(place.size, number) for number, upload in enumerate(uploads)})
