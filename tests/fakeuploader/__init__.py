"""A client in Python that sends, byte for byte, what Fine Uploader 5.16.2 sends to a traditional endpoint.

``FakeUploader`` builds the requests of a page, ``DjangoTransport`` and ``SocketTransport`` carry them, and ``Outcome``
is what the page would be told.
"""

from fakeuploader.answers import Outcome, cors_form_outcome, form_outcome
from fakeuploader.client import FakeUploader
from fakeuploader.javascript import UNDEFINED, BrowserFile
from fakeuploader.options import ClientOptions, ParamNames, options_from_page
from fakeuploader.transports import DjangoTransport, OpenRequest, SocketTransport, Transport
from fakeuploader.uploads import ChunkOverrides, ClientUpload
from fakeuploader.wire import WireRequest, WireResponse

__all__ = [
    "UNDEFINED",
    "BrowserFile",
    "ChunkOverrides",
    "ClientOptions",
    "ClientUpload",
    "DjangoTransport",
    "FakeUploader",
    "OpenRequest",
    "Outcome",
    "ParamNames",
    "SocketTransport",
    "Transport",
    "WireRequest",
    "WireResponse",
    "cors_form_outcome",
    "form_outcome",
    "options_from_page",
]
