"""The store of zarr-python over a snapshot or a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.buffer.core import default_buffer_prototype

from gribchunk.errors import InvalidError, NotFoundError

if TYPE_CHECKING:
    from gribchunk import _gribchunk
    from gribchunk.snapshot import Snapshot
    from gribchunk.transaction import Transaction


class GribchunkStore(Store):
    """A complete Zarr v3 store, for ``zarr.open_group`` and ``xr.open_zarr(snapshot.store, consolidated=False)``.

    Values are decoded in Rust without the interpreter and arrive without a copy. Read-only over a snapshot.
    """

    def __init__(
        self,
        inner: _gribchunk.Store,
        owner: Snapshot | Transaction,
        *,
        decoded: bool = True,
        read_only: bool | None = None,
    ) -> None:
        super().__init__(read_only=inner.read_only if read_only is None else read_only)
        self._inner = inner
        self._owner = owner
        self._decoded = decoded

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, GribchunkStore)
            and self._identity() == other._identity()
            and self.read_only == other.read_only
        )

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[object, ...]:
        from gribchunk.snapshot import Snapshot

        owner = (self._owner.location, self._owner.id) if isinstance(self._owner, Snapshot) else (id(self._owner),)
        return (*owner, self._decoded)

    def __repr__(self) -> str:
        return f"<gribchunk store of {self._owner!r}>"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        from gribchunk.snapshot import Snapshot

        if not isinstance(self._owner, Snapshot):
            raise InvalidError("the store of a transaction cannot go to another process; commit, and send a snapshot")
        return _reopen, (self._owner, self._decoded)

    def with_read_only(self, read_only: bool = False) -> GribchunkStore:
        if not read_only and self._inner.read_only:
            raise InvalidError("a snapshot is read-only; write in a transaction")
        return GribchunkStore(self._inner, self._owner, decoded=self._decoded, read_only=read_only)

    @property
    def supports_writes(self) -> bool:
        return not self._inner.read_only

    @property
    def supports_deletes(self) -> bool:
        return not self._inner.read_only

    @property
    def supports_listing(self) -> bool:
        return True

    @property
    def supports_consolidated_metadata(self) -> bool:
        return False

    # Reading

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        await self._ensure_open()
        return _buffer(await _async(self._inner.get, key, _part(byte_range)), prototype)

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        return _buffer(self._inner.get(key, _part(byte_range)), prototype)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        await self._ensure_open()
        requests = [(key, _part(byte_range)) for key, byte_range in key_ranges]
        return [_buffer(value, prototype) for value in await _async(self._inner.get_many, requests)]

    async def exists(self, key: str) -> bool:
        return await _async(self._inner.size, key) is not None

    async def getsize(self, key: str) -> int:
        size: int | None = await _async(self._inner.size, key)
        if size is None:
            raise NotFoundError(f"the key {key} not found in {self}")
        return size

    async def getsize_prefix(self, prefix: str) -> int:
        size: int = await _async(self._inner.size_prefix, prefix)
        return size

    # Listing

    async def list(self) -> AsyncIterator[str]:
        for key in await _async(self._inner.list_prefix, ""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        # Zarr's prefixes may end within a name.
        directory, _, _ = prefix.rpartition("/")
        for key in await _async(self._inner.list_prefix, directory):
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        for name in await _async(self._inner.list_dir, prefix):
            yield name

    # Writing

    async def set(self, key: str, value: Buffer) -> None:
        self._check_writable()
        await _async(self._inner.set, key, _bytes(value))

    def set_sync(self, key: str, value: Buffer) -> None:
        self._check_writable()
        self._inner.set(key, _bytes(value))

    async def delete(self, key: str) -> None:
        self._check_writable()
        await _async(self._inner.delete, key)

    def delete_sync(self, key: str) -> None:
        self._check_writable()
        self._inner.delete(key)

    async def delete_dir(self, prefix: str) -> None:
        self._check_writable()
        await _async(self._inner.delete_prefix, prefix)


def _reopen(snapshot: Snapshot, decoded: bool) -> GribchunkStore:
    return snapshot.store if decoded else snapshot.stored


def _part(byte_range: ByteRequest | None) -> tuple[int, int] | int | None:
    match byte_range:
        case None:
            return None
        case RangeByteRequest(start, end):
            return (start, end)
        case OffsetByteRequest(offset):
            return offset
        case SuffixByteRequest(0):
            return (0, 0)
        case SuffixByteRequest(suffix):
            return -suffix
    raise TypeError(f"Unexpected byte_range, got {byte_range}.")


def _buffer(value: _gribchunk.Bytes | None, prototype: BufferPrototype | None) -> Buffer | None:
    if value is None:
        return None
    return (prototype or default_buffer_prototype()).buffer.from_bytes(value)  # type: ignore[arg-type]


def _bytes(value: Buffer) -> Any:
    if not isinstance(value, Buffer):
        raise TypeError(
            f"GribchunkStore.set(): `value` must be a Buffer instance. Got an instance of {type(value)} instead."
        )
    return memoryview(value.as_numpy_array()).cast("B")


async def _async(method: Callable[..., Any], *arguments: Any) -> Any:
    """Awaits a method of the extension, which calls back from a thread of its own."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def done(value: Any, error: BaseException | None) -> None:
        loop.call_soon_threadsafe(settle, value, error)

    method(*arguments, done=done)
    return await future
