"""Exceptions: one class for each thing a caller can do about it.

All of them are :class:`Error`, and also the built-in exception that people expect (``KeyError`` and
``FileNotFoundError`` for what is not there, ``ValueError`` for arguments, ``OSError`` for sources).

>>> import gribchunk
>>> try:
...     gribchunk.open("/nowhere")
... except FileNotFoundError as error:
...     print(type(error).__name__)
NotFoundError
"""

from __future__ import annotations

__all__ = [
    "AlreadyExistsError",
    "AmbiguousError",
    "ClosedError",
    "ConflictError",
    "Error",
    "ForkError",
    "GribError",
    "InvalidError",
    "LayoutError",
    "NotAllowedError",
    "NotFoundError",
    "ReadOnlyError",
    "RepositoryError",
    "SourceChangedError",
    "SourceError",
    "StorageError",
    "UnreadableWarning",
    "UnverifiedError",
    "WrongFieldError",
]


class Error(Exception):
    """Base of all exceptions of gribchunk."""

    def __str__(self) -> str:
        # KeyError would show its message in quotes.
        return str(self.args[0]) if self.args else ""


class NotFoundError(Error, KeyError, FileNotFoundError):
    """A repository, array, branch, tag, snapshot, file or selection that is not there."""


class AlreadyExistsError(Error, FileExistsError):
    """Something that would be overwritten."""


class InvalidError(Error, ValueError):
    """An argument that cannot be used as it is."""


class GribError(Error, ValueError):
    """The bytes of a source are not what they should be."""


class SourceError(Error, OSError):
    """A source cannot be read: gone, no permission, input/output error."""


class SourceChangedError(SourceError):
    """A source is not the one that was ingested."""


class NotAllowedError(SourceError, PermissionError):
    """A source lies outside the prefixes that this user allowed (``allow=``, ``GRIBCHUNK_ALLOW``)."""


class WrongFieldError(SourceError):
    """The message at a reference is not the field of its slot."""


class UnverifiedError(SourceError):
    """A reference whose source cannot be verified, while ``require_verified`` is on."""


class AmbiguousError(Error, ValueError):
    """Two different fields for one slot."""


class ConflictError(Error):
    """Another writer changed the same thing: do it again on the new state."""


class LayoutError(Error, ValueError):
    """The layout of a group cannot be understood."""


class StorageError(Error, OSError):
    """A local file or directory operation failed."""


class RepositoryError(Error):
    """The repository's storage or Icechunk refused an operation."""


class ReadOnlyError(Error, ValueError):
    """Something would be written to a snapshot."""


class ClosedError(Error, ValueError):
    """A transaction that was committed or discarded."""


class ForkError(Error, RuntimeError):
    """The process was forked after gribchunk had started its threads."""


class UnreadableWarning(UserWarning):
    """Slots that could not be read and are NaN, because ``on_error="nan"`` was asked for."""
