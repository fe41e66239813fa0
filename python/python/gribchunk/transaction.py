"""Transactions: changes that become visible together, or not at all."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gribchunk import _gribchunk

if TYPE_CHECKING:
    from gribchunk.zarr_store import GribchunkStore


class Transaction:
    """Changes of one branch. Made by :meth:`gribchunk.Repository.transaction`.

    >>> import gribchunk, tempfile, zarr
    >>> repo = gribchunk.create(tempfile.mkdtemp(), sources=["fixtures/ens"])
    >>> with repo.transaction(message="a mask") as tx:
    ...     _ = zarr.create_array(tx.store, name="mask", data=__import__("numpy").ones((19, 36), "i1"))
    >>> "mask" in repo.snapshot().arrays()
    True

    While the ``with`` block is open, zarr-python writes chunks that are all NaN too (``array.write_empty_chunks``):
    they are "arrived", not missing. Arrays that were opened before the block do not know this.
    """

    def __init__(self, inner: _gribchunk.Transaction, message: str, on_conflict: str) -> None:
        self._inner = inner
        self._message = message
        self._on_conflict = on_conflict
        self._zarr_settings: Any = None
        self.snapshot_id: str | None = None
        """The snapshot that the commit made; None before, and when nothing was changed."""

    @property
    def store(self) -> GribchunkStore:
        """A Zarr store to read and write in."""
        from gribchunk.zarr_store import GribchunkStore

        return GribchunkStore(self._inner.store(True), self)

    @property
    def closed(self) -> bool:
        """Whether it was committed or discarded."""
        return self._inner.closed

    def commit(self, message: str | None = None) -> str | None:
        """Makes all changes visible; the id of the new snapshot, None when nothing was changed."""
        self.snapshot_id = self._inner.commit(message or self._message, self._on_conflict)
        return self.snapshot_id

    def discard(self) -> None:
        """Drops all changes."""
        self._inner.discard()

    def __enter__(self) -> Self:
        import zarr

        self._zarr_settings = zarr.config.set({"array.write_empty_chunks": True})
        self._zarr_settings.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._zarr_settings.__exit__(kind, error, traceback)
        if kind is not None:
            self.discard()
        elif not self.closed:
            self.commit()
