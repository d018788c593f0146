"""The genuine client in front of a site whose files go to an S3 store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from browser.files import make_file
from browser.person import complete
from browser.uploader import Outcome
from browser.wire import chunk
from livesite.server import LiveSite, serve
from stores.s3 import seaweedfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from browser.conftest import NewPerson
    from browser.person import Person
    from stores.s3.server import S3Server

MIB = 2**20
FILE = make_file(12 * MIB + 345)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweedfs.serve(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="module")
def live_site(tmp_path_factory: pytest.TempPathFactory, fine_uploader_dir: Path, store: S3Server) -> Iterator[LiveSite]:
    """A site of this module's own, with its files in the store."""
    entry = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": store.options(location="site")}
    changes = {"LIVESITE_STORAGES": json.dumps({"default": entry})}
    with serve(tmp_path_factory.mktemp("livesite"), fine_uploader_dir, changes=changes) as site:
        yield site


@pytest.fixture
def person(new_person: NewPerson, store: S3Server) -> Iterator[Person]:
    """Somebody after whom the bucket holds the finished files of all people, and nothing else."""
    person = new_person()
    yield person
    kept = {f"site/{upload['file']}" for upload in person.site.uploads()}
    assert set(store.objects("site/")) == kept
    assert store.unfinished("site/") == set()


def test_generated_options_upload_concurrent_parts_and_the_file_can_be_deleted(person: Person) -> None:
    uploader = person.start_generated()
    assert uploader.upload(FILE) == Outcome(succeeded=[0])
    assert set(person.wire.indexes) == {0, 1, 2}
    assert person.stored() == complete(FILE)
    uploader.call("deleteFile", 0)
    uploader.wait_for("delete")
    assert person.uploads() == []


def test_simple_upload_is_listed_in_a_new_page(person: Person) -> None:
    file = make_file(70_000)
    uploader = person.start_generated()
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert person.stored() == complete(file)
    again = person.start_generated()
    again.wait_for("session")
    assert [upload["uuid"] for upload in again.call("getUploads")] == [uploader.uuid()]


def test_upload_resumes_in_a_new_page(person: Person) -> None:
    uploader = person.start_generated()
    person.wire.hold(chunk(1))
    uploader.add(FILE)
    person.wire.wait_for_held(uploader.page)
    uploader.wait_for("chunk", 2)
    uploader.leave()
    person.wire.drop_held()
    person.wire.messages.clear()
    again = person.start_generated()
    assert again.upload(FILE) == Outcome(succeeded=[0])
    assert person.wire.indexes == [1]
    assert person.stored() == complete(FILE)


def test_page_with_small_parts_uploads_all_the_same(person: Person) -> None:
    file = make_file(45_000)
    uploader = person.start("default", {"chunking": {"enabled": True, "partSize": 10_000}})
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert person.wire.indexes == [0, 1, 2, 3, 4]
    assert person.stored() == complete(file)
