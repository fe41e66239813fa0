"""Pinned snapshots."""

from __future__ import annotations

import dataclasses
import functools
import glob
import json
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from gribchunk import _arguments, _gribchunk
from gribchunk.errors import InvalidError, NotFoundError, SourceChangedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gribchunk._arguments import Select
    from gribchunk.zarr_store import GribchunkStore


@dataclasses.dataclass(frozen=True)
class Origin:
    """How a repository is opened: what travels to other processes in the place of open objects."""

    location: str
    allow: tuple[str, ...] = ()
    require_verified: bool = False
    cache_bytes: int | None = None

    def open(self) -> _gribchunk.Repository:
        return _gribchunk.Repository.open(
            self.location,
            allow=list(self.allow),
            require_verified=self.require_verified,
            cache_bytes=self.cache_bytes,
        )

    def snapshot(self, identity: str) -> _gribchunk.Snapshot:
        return self.open().snapshot(identity)


@dataclasses.dataclass(frozen=True)
class MemoryOrigin(Origin):
    """Sources that are ingested into a repository in memory, here and in other processes."""

    sources: tuple[str, ...] = ()
    select: str | None = None
    level_dimensions: tuple[str, ...] = ()
    files: tuple[tuple[str, int, int], ...] = ()
    """Path, size and modification time (ns): other processes must find the same."""

    @classmethod
    def of(cls, sources: list[str], select: str | None, level_dimensions: tuple[str, ...]) -> MemoryOrigin:
        absolute = tuple(os.path.abspath(source) for source in sources)
        return cls("memory://", (), False, None, absolute, select, level_dimensions, _files(absolute))

    def ingested(self) -> _gribchunk.Repository:
        repository = _gribchunk.Repository.create(
            None, list(self.sources), select=self.select, level_dimensions=list(self.level_dimensions)
        )
        report = json.loads(repository.ingest(list(self.sources)))
        if not any(file["placed"] for file in report["files"]):
            reasons = [file["error"] or str(file["refused"]) for file in report["files"]]
            raise InvalidError(f"no field of {', '.join(self.sources)} can be used: {'; '.join(reasons)}")
        return repository

    def open(self) -> _gribchunk.Repository:
        if _files(self.sources) != self.files:
            raise SourceChangedError(f"{', '.join(self.sources)}: other files than when the dataset was opened")
        return self.ingested()

    def snapshot(self, identity: str) -> _gribchunk.Snapshot:
        # The same files give the same content; only the random snapshot id is another one.
        return self.open().snapshot("main")


def _files(sources: tuple[str, ...]) -> tuple[tuple[str, int, int], ...]:
    found = []
    for source in sources:
        for path in sorted(glob.glob(source)) or [source]:
            names = [os.path.join(top, name) for top, _, names in os.walk(path) for name in names]
            for name in sorted(names) or [path]:
                if os.path.isfile(name):
                    status = os.stat(name)
                    found.append((name, status.st_size, status.st_mtime_ns))
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class ArrayInfo:
    """What there is to know of an array without reading it."""

    name: str
    """Path below the root group."""
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    data_type: str
    dimensions: tuple[str, ...]
    attributes: dict[str, Any]
    fill_value: Any
    is_cube_array: bool
    """Whether its chunks are fields (missing, virtual or materialised)."""


class Snapshot:
    """One moment of a repository. Made by :meth:`gribchunk.Repository.snapshot`. Pickles."""

    def __init__(self, inner: _gribchunk.Snapshot, origin: Origin) -> None:
        self._inner = inner
        self._origin = origin

    def __repr__(self) -> str:
        return f"<gribchunk.Snapshot {self.id} of {self._origin.location}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _pinned, (self._origin, self.id)

    @property
    def id(self) -> str:
        """The Icechunk snapshot id."""
        return self._inner.id

    @property
    def location(self) -> str:
        """The repository's location."""
        return self._origin.location

    def arrays(self) -> list[str]:
        """Paths of all arrays."""
        return self._inner.arrays()

    @functools.cached_property
    def infos(self) -> dict[str, ArrayInfo]:
        """All arrays by path."""
        return {
            one["name"]: ArrayInfo(
                one["name"],
                tuple(one["shape"]),
                tuple(one["chunkShape"]),
                one["dataType"],
                tuple(one["dimensions"]),
                one["attributes"],
                one["fillValue"],
                one["isCubeArray"],
            )
            for one in json.loads(self._inner.describe())
        }

    def read(self, array: str, select: Select | None = None) -> NDArray[Any]:
        """What a selection takes of an array; all of it by default. Missing slots and masked points are NaN.

        >>> import gribchunk
        >>> snapshot = gribchunk.repository.open_sources(["fixtures/ens"])
        >>> snapshot.read("t2m", "step=6,number=1,latitude=10:-10").shape
        (1, 1, 1, 3, 36)
        """
        name = array.strip("/")
        info = self.infos.get(name)
        if info is not None and not info.is_cube_array:
            if select:
                raise InvalidError(f"/{name} is not an array of a cube; read all of it, without select")
            return self.read_whole(name)
        _, shape, values = self._inner.read_selection(name, _arguments.select(select) or "")
        return values.reshape(shape)

    def read_whole(self, array: str) -> NDArray[Any]:
        """All of an array that is not a cube's (coordinates, or what others wrote)."""
        info = self.infos.get(array)
        if info is None:
            raise NotFoundError(f"the array /{array} not found: see arrays()")
        data_type, values = self._inner.read_whole(array)
        return np.frombuffer(values, dtype=data_type).reshape(info.shape)

    @property
    def store(self) -> GribchunkStore:
        """The snapshot for zarr-python and whatever uses it: arrays look as if they were not compressed."""
        from gribchunk.zarr_store import GribchunkStore

        return GribchunkStore(self._inner.store(True), self)

    @property
    def stored(self) -> GribchunkStore:
        """The snapshot as it is on disk: metadata with our codec, GRIB messages and compressed chunks."""
        from gribchunk.zarr_store import GribchunkStore

        return GribchunkStore(self._inner.store(False), self, decoded=False)


_pins: dict[tuple[Origin, str], Snapshot] = {}
_pins_lock = threading.Lock()
_PINS = 8


def _pinned(origin: Origin, identity: str) -> Snapshot:
    """Unpickles: tasks of one process share the snapshot, and so its cache."""
    with _pins_lock:
        snapshot = _pins.get((origin, identity))
        if snapshot is None:
            snapshot = Snapshot(origin.snapshot(identity), origin)
            while len(_pins) >= _PINS:
                _pins.pop(next(iter(_pins)))
            _pins[origin, identity] = snapshot
        return snapshot
