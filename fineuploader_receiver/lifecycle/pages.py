"""When to answer a chunk with `reset`: only where the page is known, or seen, not to break on it.

A chunk of an upload that the server has lost must not simply be accepted: a page that sends no success request would
report a file that is not there. But `reset` in a chunk's answer throws inside a page with concurrent chunks (clients
5.5.1 to 5.16.2; docs/protocol.md, section 2.2). So it depends on the page:

* With the success request: accept; that request finds what is missing and resets, which works in every mode.
* Without it: reset at once.
* Unknown: go by what was seen. Chunks out of order or at the same time, or two different indexes with `qqresume`, are
  signs of concurrency, and the client wants a success request with that: accept. Otherwise a chunk of a vanished upload
  is reset, and an upload that began with a resumed chunk is reset when its last chunk arrives and chunk 0 was never
  seen.
"""

from __future__ import annotations

from ..exceptions import BY_CODE, InvalidFile, UploadError, UploadLost
from ..models import UploadSession, UploadTombstone, database
from ..protocol.messages import UploadMessage
from ..receivers import Receiver
from .uploads import chunk_rows

PARALLEL_CHUNKS = 16
"""More chunks of one upload than a browser sends at once."""


def sends_done(receiver: Receiver, message: UploadMessage, seen: bool | None) -> bool | None:
    """Whether the page sends the success request, as far as known: it says so, was seen, or the site says so."""
    for word in (message.done_request, seen, receiver.options.done_request):
        if word is not None:
            return word
    return None


def check_unknown(receiver: Receiver, message: UploadMessage, tombstone: UploadTombstone | None) -> None:
    """Judge a chunk whose upload does not exist: accept it by returning, or raise what the client must hear."""
    if message.index == 0:
        return
    if tombstone is not None and tombstone.refusal:
        raise recall(tombstone)
    done = sends_done(receiver, message, tombstone.done_request if tombstone else None)
    if done is True:
        return
    if done is False and (tombstone is not None or message.resumed):
        raise UploadLost
    if tombstone is not None and not tombstone.out_of_order:
        raise UploadLost


def began_earlier(receiver: Receiver, upload: UploadSession, message: UploadMessage) -> bool:
    """Judge the arrival of the last index while others are missing: whether the page sent those to a row that is gone.

    True where the upload began with a resumed chunk, or further on than any browser begins, and chunk 0 was never seen;
    and where an earlier one of this uuid vanished, on a page without the success request: a late copy of chunk 0 may
    have begun this one behind the page's back.
    """
    if message.index != upload.total_chunks - 1:
        return False
    if sends_done(receiver, message, upload.done_request) is False and _had_predecessor(upload):
        return True
    if upload.first_index == 0:
        return False
    if upload.resumed_index is None and upload.first_index < PARALLEL_CHUNKS:
        return False
    return not may_break_on_reset(receiver, message, upload) and not chunk_rows(upload).filter(index=0).exists()


def _had_predecessor(upload: UploadSession) -> bool:
    names = {"receiver": upload.receiver, "owner_key": upload.owner_key, "uuid": upload.uuid}
    return UploadTombstone.objects.using(database()).filter(**names).exists()


def may_break_on_reset(receiver: Receiver, message: UploadMessage, upload: UploadSession) -> bool:
    """Whether `reset` in a chunk's answer is wrong for this page: its success request will bring it the news."""
    done = sends_done(receiver, message, upload.done_request)
    return upload.out_of_order if done is None else done


def check_lost(receiver: Receiver, upload: UploadSession, message: UploadMessage) -> None:
    """Judge a chunk whose upload has just turned out to be lost with chunks in it.

    Raises UploadLost on a page that sends no success request: nothing else would tell it, not even at index 0.
    """
    done = sends_done(receiver, message, upload.done_request)
    if done is False and message.chunked and upload.received_chunks > 0:
        raise UploadLost


def recall(tombstone: UploadTombstone) -> UploadError:
    """The refusal that a tombstone remembers."""
    return BY_CODE.get(tombstone.refusal, InvalidFile)(tombstone.message)
