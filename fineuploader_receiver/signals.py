"""What the app tells the site. Every signal's sender is `UploadSession`; `upload` is always given.

`upload_started`, `chunk_received` and `upload_deleted` carry `request` too and are sent after their commit; what their
receivers raise is logged and changes nothing. `upload_completed` (with `request`) is sent inside the transaction that
marks the upload COMPLETE: receivers' writes to the same database commit with it or not at all, and a receiver that
raises makes the request fail with `hook_failed`. `upload_expired` is sent by the purge, without `request`, after the
bytes and the row are gone.
"""

from __future__ import annotations

from django.dispatch import Signal

upload_started = Signal()
chunk_received = Signal()
upload_completed = Signal()
upload_deleted = Signal()
upload_expired = Signal()
