"""Transactions: changes that become visible together, or not at all."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gribchunk import _arguments, _gribchunk, _reports
from gribchunk.errors import InvalidError

if TYPE_CHECKING:
    from gribchunk._arguments import Select
    from gribchunk.snapshot import Origin, Snapshot
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

    def __init__(self, inner: _gribchunk.Transaction, origin: Origin, message: str, on_conflict: str) -> None:
        self._inner = inner
        self._origin = origin
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

    def fork(self) -> Fork:
        """A part of this transaction for another process: it begins with what is written so far, and is pickled.

        Send it to workers, have them write chunks or materialise and return it, and :meth:`merge` what came back.
        """
        return Fork(self._origin, self._inner.fork_point())

    def merge(self, *forks: Fork) -> int:
        """Takes over the chunks that forks wrote; how many. Where two wrote the same chunk, the last one's stays."""
        return sum(self._inner.merge(fork.changes()) for fork in forks)

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


class Fork:
    """A part of a transaction in another process. Made by :meth:`Transaction.fork`; pickles, with what it changed.

    Only chunks can be changed: arrays, shapes and attributes belong into the transaction, before it is forked. The
    location and snapshot travel, and the changes back; never credentials.

    >>> import gribchunk, pickle, tempfile
    >>> repo = gribchunk.create(tempfile.mkdtemp(), sources=["fixtures/ens"])
    >>> report = repo.ingest(["fixtures/ens"])
    >>> with repo.transaction(message="materialise") as tx:
    ...     forks = [pickle.loads(pickle.dumps(tx.fork())) for _ in range(2)]  # in other processes
    ...     for step, fork in enumerate(forks):
    ...         _ = fork.materialise(f"variable=t2m,step={3 * step}")
    ...     tx.merge(*forks)
    8
    """

    def __init__(self, origin: Origin, point: str, changes: bytes | None = None) -> None:
        self._origin = origin
        self._point = point
        self._changes = changes
        self._opened: _gribchunk.Fork | None = None

    def __repr__(self) -> str:
        return f"<gribchunk.Fork of {self._origin.location}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Fork, (self._origin, self._point, self._changes if self._opened is None else self.changes())

    @property
    def _inner(self) -> _gribchunk.Fork:
        if self._opened is None:
            if self._changes is not None:
                raise InvalidError("this fork came back from another process; merge it, or fork the transaction again")
            self._opened = self._origin.open().fork(self._point)
        return self._opened

    @property
    def base(self) -> Snapshot:
        """The state that the fork began with."""
        from gribchunk.snapshot import Snapshot

        return Snapshot(self._inner.base(), self._origin)

    @property
    def store(self) -> GribchunkStore:
        """A Zarr store to read and write chunks in."""
        from gribchunk.zarr_store import GribchunkStore

        return GribchunkStore(self._inner.store(True), self)

    def materialise(self, select: Select | None = None) -> _reports.MaterialiseReport:
        """Decodes virtual chunks of a selection (all by default) and stores them."""
        return _reports.materialise_report(self._inner.materialise(_arguments.select(select)))

    def changes(self) -> bytes:
        """What was written, for :meth:`Transaction.merge`."""
        if self._opened is None and self._changes is not None:
            return self._changes
        return self._inner.changes()
