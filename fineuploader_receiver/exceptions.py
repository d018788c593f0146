"""Every way a request can be refused: one class per code, rendered in one place (`protocol.responses`).

UploadError
├── BadRequest            400: MissingParameter, BadParameter, BadUuid, BadBody, TruncatedBody, MissingFile,
│                              SizeMismatch, DigestMismatch, BadChunk; 411 LengthRequired
├── Refused               the caller may not: LoginRequired, NoSession, CsrfFailed, Forbidden, Claimed
├── TooMuch               a limit: FileTooLarge, ChunkTooLarge, TooManyChunks, BodyTooLarge, TooManyUploads,
│                              QuotaExceeded, NoSpace
├── WrongKind             ExtensionNotAllowed, TypeNotAllowed, InvalidFile
├── Conflict              TotalsChanged, UploadLost
├── NotFound, MethodNotAllowed
└── Unavailable           Busy, Assembling, StorageFailed, HookFailed, ServerError
"""

from __future__ import annotations

from typing import ClassVar


class UploadError(Exception):
    """A refusal that the client can read.

    `code` is stable and for programs, `message` is for the person. `prevent_retry` tells the client not to try
    again; `reset` tells it to start again at chunk 0 under the same uuid (docs/protocol.md, sections 2.1 and 2.2).
    The message may be replaced per instance; nothing else varies.
    """

    code: ClassVar[str] = "server_error"
    status: ClassVar[int] = 500
    message: str = "The server could not handle this upload."
    prevent_retry: bool = False
    reset: bool = False

    def __init__(self, message: str | None = None) -> None:
        if message is not None:
            self.message = message
        super().__init__(self.message)


class BadRequest(UploadError):
    code = "bad_request"
    status = 400
    message = "The request is not one the uploader sends."
    prevent_retry = True


class MissingParameter(BadRequest):
    code = "missing_parameter"
    message = "A parameter is missing."


class BadParameter(BadRequest):
    code = "bad_parameter"
    message = "A parameter has a value that makes no sense."


class BadUuid(BadRequest):
    code = "bad_uuid"
    message = "The upload's identifier is not a UUID."


class BadBody(BadRequest):
    code = "bad_body"
    message = "The body of the request cannot be read."


class TruncatedBody(BadRequest):
    code = "truncated_body"
    message = "The request broke off before its end."
    prevent_retry = False


class MissingFile(BadRequest):
    code = "missing_file"
    message = "The request holds no file."


class LengthRequired(BadRequest):
    code = "length_required"
    status = 411
    message = "The request does not say how long its body is."


class SizeMismatch(BadRequest):
    code = "size_mismatch"
    message = "The number of bytes received is not the number announced."
    prevent_retry = False


class DigestMismatch(BadRequest):
    code = "digest_mismatch"
    message = "The bytes received do not have the digest announced."
    prevent_retry = False


class BadChunk(BadRequest):
    code = "bad_chunk"
    message = "The chunk does not fit the file it belongs to."


class Refused(UploadError):
    code = "forbidden"
    status = 403
    message = "You may not do this."


class LoginRequired(Refused):
    """Not final: the page resumes once the person has signed in again and loaded it anew."""

    code = "login_required"
    message = "Please sign in first."


class NoSession(Refused):
    code = "no_session"
    message = "Your browser sent no session. Please allow cookies and load the page again."
    prevent_retry = True


class CsrfFailed(Refused):
    code = "csrf_failed"
    message = "The security token is missing or out of date. Please load the page again."
    prevent_retry = True


class Forbidden(Refused):
    message = "You may not do this."
    prevent_retry = True


class Claimed(Refused):
    code = "claimed"
    message = "This file is in use and cannot be deleted here."
    prevent_retry = True


class TooMuch(UploadError):
    code = "too_much"
    status = 413
    message = "This is too much."


class FileTooLarge(TooMuch):
    code = "file_too_large"
    message = "The file is too large."
    prevent_retry = True


class ChunkTooLarge(TooMuch):
    code = "chunk_too_large"
    message = "The file arrives in parts that are too large."
    prevent_retry = True


class TooManyChunks(TooMuch):
    code = "too_many_chunks"
    message = "The file arrives in too many parts."
    prevent_retry = True


class BodyTooLarge(TooMuch):
    code = "body_too_large"
    message = "The request holds too much besides the file."
    prevent_retry = True


class TooManyUploads(TooMuch):
    """Not final: another upload of the owner may finish."""

    code = "too_many_uploads"
    status = 429
    message = "You have too many unfinished uploads. Please wait until another one has finished."


class QuotaExceeded(TooMuch):
    """Final only for a file that alone is larger than the whole allowance."""

    code = "quota_exceeded"
    message = "Your unfinished uploads take up all the space you may use."


class NoSpace(TooMuch):
    code = "no_space"
    status = 507
    message = "The server has no room for this file at the moment."


class WrongKind(UploadError):
    code = "wrong_kind"
    status = 415
    message = "Files of this kind are not accepted."
    prevent_retry = True


class ExtensionNotAllowed(WrongKind):
    code = "extension_not_allowed"
    message = "Files with this extension are not accepted."


class TypeNotAllowed(WrongKind):
    code = "type_not_allowed"
    message = "Files of this type are not accepted."


class InvalidFile(WrongKind):
    code = "invalid_file"
    status = 422
    message = "The file was not accepted."


class Conflict(UploadError):
    code = "conflict"
    status = 409
    message = "The request does not fit what is already here."


class TotalsChanged(Conflict):
    code = "totals_changed"
    message = "The file changed its size while it was being uploaded."


class UploadLost(Conflict):
    code = "upload_lost"
    message = "The server no longer has the first part of this file; the upload starts again."
    reset = True


class NotFound(UploadError):
    code = "not_found"
    status = 404
    message = "There is nothing here."
    prevent_retry = True


class MethodNotAllowed(UploadError):
    code = "method_not_allowed"
    status = 405
    message = "This address does not answer that kind of request."
    prevent_retry = True


class Unavailable(UploadError):
    """Something on the server is in the way; the client's own retry is right."""

    code = "busy"
    status = 503
    message = "The server is busy. Please try again."


class Busy(Unavailable):
    pass


class Assembling(Unavailable):
    code = "assembling"
    message = "The file is still being put together. Please try again in a moment."


class StorageFailed(Unavailable):
    code = "storage_error"
    message = "The server could not store the file. Please try again."


class HookFailed(Unavailable):
    code = "hook_failed"
    status = 500
    message = "The file arrived, but the server could not process it. Please try again."


class ServerError(Unavailable):
    code = "server_error"
    status = 500
    message = "Something went wrong on the server. Please try again."


def _leaves(root: type[UploadError]) -> dict[str, type[UploadError]]:
    found = {} if root.__subclasses__() else {root.code: root}
    for child in root.__subclasses__():
        found.update(_leaves(child))
    return found


BY_CODE: dict[str, type[UploadError]] = _leaves(UploadError)
"""Every code a client can meet, with its class."""
