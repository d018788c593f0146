"""The uploader of one page: it sends the client's requests in the client's order and judges the answers."""

from __future__ import annotations

import math
import uuid as uuids
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from fakeuploader.answers import (
    NO_ANSWER,
    Outcome,
    delete_outcome,
    done_outcome,
    form_outcome,
    session_items,
    upload_outcome,
)
from fakeuploader.javascript import BrowserFile, Params
from fakeuploader.options import ClientOptions, options_from_page
from fakeuploader.requests import RequestBuilder
from fakeuploader.uploads import ClientUpload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fakeuploader.transports import Transport
    from fakeuploader.wire import WireRequest, WireResponse


class FakeUploader(RequestBuilder):
    """Speaks the wire of Fine Uploader 5.16.2 with a traditional endpoint (docs/protocol.md).

    ``*_request`` methods build one request and send nothing. ``upload``, ``done``, ``delete``, ``session`` and
    ``upload_form`` send and judge. ``log`` keeps each request with its answer, in the order of sending. With
    ``parallel`` the chunks of a concurrent page are really sent at once, which needs a transport that may be used by
    several threads; without it they are sent one after the other, in the order in which the client starts them.
    """

    def __init__(self, transport: Transport, options: ClientOptions | None = None, *, parallel: bool = False) -> None:
        super().__init__(options or ClientOptions())
        self.transport = transport
        self.parallel = parallel
        self.log: list[tuple[WireRequest, WireResponse]] = []

    @classmethod
    def from_page(cls, transport: Transport, page: Mapping[str, Any], **changes: Any) -> FakeUploader:
        """Build the uploader of a page that passes these options to the client, with some changed by hand."""
        return cls(transport, options_from_page(page).but(**changes))

    def add(
        self,
        file: BrowserFile | bytes,
        *,
        name: str | None = None,
        uuid: str | None = None,
        params: Params | None = None,
        path: str | None = None,
    ) -> ClientUpload:
        """Take a file over as the client does; ``params`` replace those of the uploader, ``path`` is the ``qqpath``."""
        file = BrowserFile(file, "file.bin") if isinstance(file, bytes) else file
        part_size = self.options.part_size(file.size) if callable(self.options.part_size) else self.options.part_size
        parts = math.ceil(file.size / part_size)
        upload = ClientUpload(
            file=file,
            uuid=uuid or str(uuids.uuid4()),
            name=name if name is not None else "misc_data" if file.name is None else file.name,
            part_size=part_size,
            chunked=self.options.chunking and (parts > 1 or self.options.mandatory),
            params=params,
            read_only={} if path is None else {"qqpath": path},
        )
        upload.restart()
        return upload

    def add_scaled(self, original: BrowserFile, scaled: Mapping[str, BrowserFile]) -> list[ClientUpload]:
        """Take an image over together with its scaled versions, by size name; the original comes last."""
        parent = self.add(original)
        base, dot, extension = parent.name.rpartition(".")
        children = []
        for size_name, file in scaled.items():
            child = self.add(file, name=f"{base} ({size_name}){dot}{extension}")
            child.read_only = {"qqparentuuid": parent.uuid, "qqparentsize": parent.size, self.names.uuid: child.uuid}
            children.append(child)
        parent.read_only = {self.names.uuid: parent.uuid}
        return [*children, parent]

    def resume(self, upload: ClientUpload, *, remaining: Sequence[int] | None = None) -> ClientUpload:
        """Take the same file over in a new page that found the record of an earlier one."""
        left = upload.remaining if remaining is None else remaining
        again = self.add(upload.file, name=upload.name, uuid=upload.uuid, params=upload.params)
        again.remaining, again.resuming, again.read_only = list(left), True, upload.read_only
        return again

    def send(self, request: WireRequest) -> WireResponse:
        answer = self.transport.send(request)
        self.log.append((request, answer))
        return answer

    def upload(self, upload: ClientUpload | BrowserFile | bytes, *, attempts: int = 1) -> Outcome:
        """Upload to the end, with automatic retries after the first attempt, and return what the page is told."""
        upload = upload if isinstance(upload, ClientUpload) else self.add(upload)
        outcome = self._attempt(upload)
        for _ in range(attempts - 1):
            if outcome.success or outcome.prevent_retry or outcome.hangs:
                break
            outcome = self._attempt(upload)
        return outcome

    def send_chunk(self, upload: ClientUpload, index: int, resuming: bool = False) -> Outcome:
        """Send one chunk, and keep no books of it."""
        return self._sent_upload(self.chunk_request(upload, index, resuming=resuming))

    def upload_form(self, upload: ClientUpload) -> Outcome:
        return form_outcome(self.send(self.form_request(upload)))

    def done(self, upload: ClientUpload) -> Outcome:
        method, on_status = self.options.success_method, self.options.reset_on_status
        return self._judged(
            self.done_request(upload), lambda answer: done_outcome(answer, method=method, reset_on_status=on_status)
        )

    def delete(self, uuid: str, **item: Any) -> Outcome:
        request = self.delete_request(uuid, **item)
        return self._judged(request, lambda answer: delete_outcome(answer, method=request.method))

    def session(self) -> list[dict[str, Any]]:
        return session_items(self.send(self.session_request()))

    def _attempt(self, upload: ClientUpload) -> Outcome:
        if not upload.chunked:
            return self._sent_upload(self.simple_request(upload))
        last = self._send_chunks(upload)
        if not last.success:
            return last
        return self._finish(upload) if self.options.success_endpoint is not None else last

    def _finish(self, upload: ClientUpload) -> Outcome:
        outcome = self.done(upload)
        if outcome.reset:
            upload.restart()
        return outcome

    def _send_chunks(self, upload: ClientUpload) -> Outcome:
        """Send what is left, and return the failure or the answer to the highest index.

        A concurrent page starts its first batch from the highest index down. When one chunk fails, what is in flight
        is given up and waits in front of the rest for the next attempt.
        """
        width = self.options.max_connections if self.options.concurrent else 1
        in_flight: dict[Future[Outcome], int] = {}
        last = Outcome(success=True, response={"success": True})
        highest = max(upload.remaining, default=0)
        with self._executor(width) as pool:
            batch, upload.remaining = upload.remaining[:width], upload.remaining[width:]
            resuming = upload.resuming
            for index in reversed(batch):
                in_flight[pool.submit(self.send_chunk, upload, index, resuming)] = index
            while in_flight:
                answered = wait(in_flight, return_when=FIRST_COMPLETED).done
                future = next(future for future in in_flight if future in answered)
                index, outcome = in_flight.pop(future), future.result()
                if not outcome.success:
                    return self._give_up(upload, [index, *sorted(in_flight.values())], outcome, alone=not in_flight)
                upload.resuming = False
                last = outcome if index == highest else last
                if upload.remaining:
                    following = upload.remaining.pop(0)
                    in_flight[pool.submit(self.send_chunk, upload, following, False)] = following
        return last

    def _give_up(self, upload: ClientUpload, indexes: list[int], outcome: Outcome, *, alone: bool) -> Outcome:
        upload.remaining = sorted(indexes) + upload.remaining
        if not outcome.reset:
            return outcome
        upload.restart()
        hangs = self.options.concurrent and alone
        return Outcome(
            success=False,
            status=outcome.status,
            error=None if hangs else outcome.error,
            reset=True,
            prevent_retry=outcome.prevent_retry,
            hangs=hangs,
            response=outcome.response,
        )

    def _sent_upload(self, request: WireRequest) -> Outcome:
        strict = self.options.require_success_json
        return self._judged(request, lambda answer: upload_outcome(answer, require_success_json=strict))

    def _judged(self, request: WireRequest, judge: Callable[[WireResponse], Outcome]) -> Outcome:
        try:
            return judge(self.send(request))
        except (OSError, HTTPException):
            return NO_ANSWER

    def _executor(self, width: int) -> Executor:
        return ThreadPoolExecutor(width) if self.parallel and width > 1 else _OneByOne()


class _OneByOne(Executor):
    """Runs each call at once, where it is submitted."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future
