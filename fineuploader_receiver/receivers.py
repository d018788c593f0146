"""The configured endpoint: what a site subclasses, and what carries the options down to every layer."""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage, storages
from django.core.signals import setting_changed
from django.utils import timezone
from django.utils.module_loading import import_string

from . import conf
from .backends import default_backend
from .backends.base import Backend, Plan
from .protocol.names import ParamNames

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser
    from django.http import HttpRequest

    from .models import UploadSession


class Receiver:
    """One alias of FINEUPLOADER_RECEIVERS at work. Subclass it and name the subclass in the option RECEIVER.

    The methods down to `client_options` are the hooks. One instance serves all requests and threads: keep no state of a
    request in it.
    """

    def __init__(self, options: conf.ReceiverOptions) -> None:
        self.options = options
        self.names = ParamNames.renamed(options.param_names)
        self._backends: dict[tuple[str, str], Backend] = {}

    def get_owner(self, request: HttpRequest) -> AbstractBaseUser | None:
        """The user whose upload this is, or None for nobody. Called before anything is stored."""
        user = getattr(request, "user", None)
        return user if user is not None and user.is_authenticated else None

    def has_permission(self, request: HttpRequest, action: str, upload: UploadSession | None) -> bool:
        """Whether the owner may do this; `action` is upload, complete, delete, status or list.

        `upload` is the owner's own: unsaved at its first request (with uuid, filename, params, total_size and owner),
        None for list.
        """
        return True

    def upload_to(self, upload: UploadSession, filename: str) -> str:
        """Where the finished file goes, as a relative path that ends with the cleaned file name.

        The app puts a folder of 128 random bits in front of the last component, whatever this returns.
        """
        target = self.options.upload_to
        if callable(target):
            return target(upload, filename)
        return posixpath.join(timezone.now().strftime(target), filename)

    def validate(self, upload: UploadSession, file: IO[Any]) -> None:
        """Raise ValidationError to refuse the assembled file, which is then deleted. Runs the option VALIDATORS.

        May run again after a crash. `file` is open for reading, at its start.
        """
        for validator in self._validators:
            file.seek(0)
            validator(file)

    def completed(self, upload: UploadSession, request: HttpRequest | None) -> None:
        """The file is whole. Runs inside the transaction that marks it COMPLETE, and commits with it exactly once.

        What has effects outside this database belongs in `transaction.on_commit`. Raising makes the request fail with
        `hook_failed`; the file is kept, and the client's next attempt runs this again.
        """

    def session_item(self, upload: UploadSession) -> dict[str, Any]:
        """An entry of the client's initial list; `uuid` and `name` are required (docs/protocol.md, section 1.18)."""
        name = upload.filename or posixpath.basename(upload.file)
        return {"uuid": str(upload.uuid), "name": name, "size": upload.total_size}

    def client_options(self, request: HttpRequest) -> dict[str, Any]:
        """Options that are merged, dictionary by dictionary, over the generated ones."""
        return {}

    @property
    def alias(self) -> str:
        return self.options.alias

    @functools.cached_property
    def storage(self) -> Storage:
        return storages[self.options.storage]

    @functools.cached_property
    def backend_path(self) -> str:
        return self.options.backend or default_backend(self.storage)

    @property
    def backend(self) -> Backend:
        """The backend for new uploads, but for those that do not suit it."""
        return self._backend(self.backend_path, self.options.storage)

    @property
    def backends(self) -> list[Backend]:
        """Every backend that new uploads may get."""
        paths = filter(None, (self.backend_path, self.backend.fallback))
        return [self._backend(path, self.options.storage) for path in paths]

    def backend_for(self, plan: Plan) -> tuple[str, Backend]:
        """The backend for a new upload, with its dotted path. Raises TooManyParts where there is none."""
        path = self.backend_path if self.backend.suits(plan) else self.backend.fallback
        return path, self._backend(path, self.options.storage)

    def backend_of(self, upload: UploadSession) -> Backend | None:
        """The backend that holds this upload's bytes, or None where its class or its storage is gone."""
        try:
            return self._backend(upload.backend, upload.storage)
        except (ImportError, ImproperlyConfigured):
            return None

    def _backend(self, path: str, alias: str) -> Backend:
        backend = self._backends.get((path, alias))
        if backend is None:
            options = {"staging_dir": self.options.staging_dir, "durability": self.options.durability}
            backend = self._backends[path, alias] = import_string(path)(storages[alias], **options)
        return backend

    @functools.cached_property
    def _validators(self) -> list[Callable[[Any], None]]:
        return [import_string(item) if isinstance(item, str) else item for item in self.options.validators]


@functools.cache
def get_receiver(alias: str) -> Receiver:
    """The receiver of an alias. Raises ImproperlyConfigured for an unknown alias or options that cannot be used."""
    options = conf.load_options(alias)
    try:
        receiver_class = import_string(options.receiver)
    except ImportError as error:
        raise conf.OptionError(alias, "RECEIVER", f"cannot be imported: {error}") from error
    if not (isinstance(receiver_class, type) and issubclass(receiver_class, Receiver)):
        raise conf.OptionError(alias, "RECEIVER", "is not a subclass of fineuploader_receiver.receivers.Receiver.")
    return receiver_class(options)


def merged(options: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """One options object over another, dictionary by dictionary."""
    result = dict(options)
    for key, value in changes.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def _forget(*, setting: str, **_: Any) -> None:
    if setting in (conf.SETTING, "STORAGES", "MEDIA_ROOT", "MEDIA_URL"):
        get_receiver.cache_clear()


setting_changed.connect(_forget, dispatch_uid="fineuploader_receiver.receivers")
