"""The xarray engine ``gribchunk``: repositories, and GRIB files without one.

>>> import xarray as xr
>>> ds = xr.open_dataset("fixtures/ens/20261121000000-0h-enfo-ef.grib2", engine="gribchunk")
>>> ds.t2m.sel(latitude=50, longitude=10, method="nearest").isel(time=0, step=0).shape
(4,)
"""

from __future__ import annotations

import asyncio
import itertools
import os
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from xarray.backends import AbstractDataStore, BackendArray, BackendEntrypoint
from xarray.backends.store import StoreBackendEntrypoint
from xarray.core import indexing

from gribchunk import _arguments, repository
from gribchunk.errors import Error, InvalidError, NotFoundError, UnreadableWarning
from gribchunk.snapshot import ArrayInfo, Snapshot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gribchunk._arguments import Select, Time

type OnError = Literal["raise", "nan"]

#: Coordinates of up to so many elements are read when a dataset is opened.
_EAGER_ELEMENTS = 1_000_000


class GribchunkEntrypoint(BackendEntrypoint):
    """``xr.open_dataset(path, engine="gribchunk")``.

    ``filename_or_obj`` is a repository's path, a :class:`gribchunk.Repository` or :class:`gribchunk.Snapshot`, or GRIB
    files: one, a list, a directory, a glob, an index sidecar.

    ``at`` is a branch, tag, snapshot id or moment. ``group`` names a group; the root group by default (or the only one
    there is). ``allow``, ``require_verified`` and ``cache_bytes`` are those of :func:`gribchunk.open`; ``select`` and
    ``level_dimensions``, for GRIB files, those of :func:`gribchunk.create`. A source that vanished or changed stops a
    read; with ``on_error="nan"`` its slots are NaN, and a warning lists them with the reasons.
    """

    description = "GRIB forecasts in Icechunk repositories, and GRIB files (gribchunk)"
    supports_groups = True
    open_dataset_parameters = (
        "filename_or_obj",
        "at",
        "group",
        "allow",
        "require_verified",
        "cache_bytes",
        "select",
        "level_dimensions",
        "on_error",
        "drop_variables",
        "mask_and_scale",
        "decode_times",
        "decode_timedelta",
        "decode_coords",
        "use_cftime",
        "concat_characters",
    )

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        if isinstance(filename_or_obj, Snapshot | repository.Repository):
            return True
        if not isinstance(filename_or_obj, str | os.PathLike):
            return False
        path = os.fspath(filename_or_obj)
        return _is_repository(path) or path.endswith((".grib", ".grib1", ".grib2", ".grb", ".grb1", ".grb2"))

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        at: Time = "main",
        group: str | None = None,
        allow: Sequence[str] = (),
        require_verified: bool = False,
        cache_bytes: int | None = None,
        select: Select | None = None,
        level_dimensions: Sequence[str] = (),
        on_error: OnError = "raise",
        drop_variables: str | Iterable[str] | None = None,
        **decoding: Any,
    ) -> xr.Dataset:
        snapshot = _snapshot(filename_or_obj, at, allow, require_verified, cache_bytes, select, level_dimensions)
        groups = _groups(snapshot)
        if group is None:
            group = "" if "" in groups or len(groups) != 1 else next(iter(groups))
        group = group.strip("/")
        if group and group not in groups:
            raise NotFoundError(f"the group /{group} not found: there are {', '.join('/' + name for name in groups)}")
        return _dataset(snapshot, groups.get(group, []), on_error, drop_variables, decoding)

    def open_groups_as_dict(
        self,
        filename_or_obj: Any,
        *,
        at: Time = "main",
        allow: Sequence[str] = (),
        require_verified: bool = False,
        cache_bytes: int | None = None,
        select: Select | None = None,
        level_dimensions: Sequence[str] = (),
        on_error: OnError = "raise",
        drop_variables: str | Iterable[str] | None = None,
        **decoding: Any,
    ) -> dict[str, xr.Dataset]:
        snapshot = _snapshot(filename_or_obj, at, allow, require_verified, cache_bytes, select, level_dimensions)
        groups: dict[str, list[ArrayInfo]] = {"": []} | _groups(snapshot)
        return {
            f"/{name}": _dataset(snapshot, arrays, on_error, drop_variables, decoding)
            for name, arrays in groups.items()
        }

    def open_datatree(self, filename_or_obj: Any, **keywords: Any) -> xr.DataTree:
        groups = self.open_groups_as_dict(filename_or_obj, **keywords)
        # Dimensions of a parent must agree with its children's: another product stands beside the root, not below it.
        if len(groups) > 1 and groups["/"].sizes:
            try:
                return xr.DataTree.from_dict(groups)
            except ValueError:
                groups = {"/": xr.Dataset(attrs=groups["/"].attrs), "/root": groups["/"]} | {
                    name: dataset for name, dataset in groups.items() if name != "/"
                }
        return xr.DataTree.from_dict(groups)


def _is_repository(path: str) -> bool:
    return os.path.exists(os.path.join(path, "repo")) or os.path.isdir(os.path.join(path, "refs"))


def _snapshot(
    given: Any,
    at: Time,
    allow: Sequence[str],
    require_verified: bool,
    cache_bytes: int | None,
    select: Select | None,
    level_dimensions: Sequence[str],
) -> Snapshot:
    if isinstance(given, Snapshot):
        return given
    if isinstance(given, repository.Repository):
        return given.snapshot(at)
    if isinstance(given, str | os.PathLike):
        path = _arguments.path(given)
        if _is_repository(path):
            opened = repository.open(path, allow=allow, require_verified=require_verified, cache_bytes=cache_bytes)
            return opened.snapshot(at)
    return repository.open_sources(given, select, level_dimensions)


def _groups(snapshot: Snapshot) -> dict[str, list[ArrayInfo]]:
    groups: dict[str, list[ArrayInfo]] = {}
    for name, info in snapshot.infos.items():
        groups.setdefault(name.rpartition("/")[0], []).append(info)
    return groups


def _dataset(
    snapshot: Snapshot,
    arrays: list[ArrayInfo],
    on_error: OnError,
    drop_variables: str | Iterable[str] | None,
    decoding: dict[str, Any],
) -> xr.Dataset:
    if on_error not in ("raise", "nan"):
        raise InvalidError(f'on_error={on_error!r}: use "raise" or "nan"')
    # Steps are timedeltas, whatever becomes xarray's default.
    decoding = {"decode_timedelta": True} | {key: value for key, value in decoding.items() if value is not None}
    store = _GroupStore(snapshot, arrays, on_error)
    return StoreBackendEntrypoint().open_dataset(store, drop_variables=drop_variables, **decoding)


class _GroupStore(AbstractDataStore):
    """The variables of one group, for xarray's CF decoding."""

    def __init__(self, snapshot: Snapshot, arrays: list[ArrayInfo], on_error: OnError) -> None:
        self._snapshot = snapshot
        self._arrays = arrays
        self._on_error = on_error

    def get_attrs(self) -> dict[str, Any]:
        return {"Conventions": "CF-1.11"}

    def get_variables(self) -> dict[str, xr.Variable]:
        return {info.name.rpartition("/")[2]: self._variable(info) for info in self._arrays}

    def _variable(self, info: ArrayInfo) -> xr.Variable:
        leaf = info.name.rpartition("/")[2]
        encoding = {"preferred_chunks": dict(zip(info.dimensions, info.chunks, strict=True)), "chunks": info.chunks}
        data: Any
        if info.is_cube_array:
            data = indexing.LazilyIndexedArray(CubeArray(self._snapshot, info, self._on_error))
        elif info.dimensions in ((leaf,), ()) and np.prod(info.shape, dtype=int) <= _EAGER_ELEMENTS:
            data = self._snapshot.read_whole(info.name)
            encoding = {}
        else:
            data = indexing.LazilyIndexedArray(PlainArray(self._snapshot, info))
        return xr.Variable(info.dimensions, data, info.attributes, encoding)


class CubeArray(BackendArray):
    """A lazy array of a cube: every request is one call that fetches and decodes what it needs, in parallel."""

    __slots__ = ("_info", "_on_error", "_snapshot", "dtype", "shape")

    def __init__(self, snapshot: Snapshot, info: ArrayInfo, on_error: OnError) -> None:
        self._snapshot = snapshot
        self._info = info
        self._on_error = on_error
        self.shape = info.shape
        self.dtype = np.dtype("float32")

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        if isinstance(key, indexing.VectorizedIndexer):
            return self._points(key.tuple)
        return self._outer(key.tuple)

    async def async_getitem(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        return await asyncio.to_thread(self.__getitem__, key)

    def _outer(self, key: tuple[Any, ...]) -> NDArray[Any]:
        """Integers, slices and index arrays, each for its own dimension."""
        region: list[Any] = []
        flips: list[slice] = []
        drops: list[slice | int] = []
        plain = True
        for one, length in zip(key, self.shape, strict=True):
            if isinstance(one, slice):
                steps = range(*one.indices(length))
                plain = plain and (abs(steps.step) == 1 or len(steps) < 2)
                region.append(steps)
                flips.append(slice(None, None, -1 if steps.step < 0 else None))
                drops.append(slice(None))
            elif np.ndim(one) == 0:
                index = int(one) + (length if one < 0 else 0)
                region.append(range(index, index + 1))
                flips.append(slice(None))
                drops.append(0)
            else:
                plain = False
                region.append(np.where(one < 0, one + length, one))
                flips.append(slice(None))
                drops.append(slice(None))
        shape = tuple(len(one) for one in region)
        if 0 in shape:
            return np.empty(shape, self.dtype)[tuple(drops)]
        if plain:
            bounds = [(min(one[0], one[-1]), max(one[0], one[-1]) + 1) for one in region]
            return self._read(bounds).reshape(shape)[tuple(flips)][tuple(drops)]
        indices = [np.asarray(one, dtype="uint64") for one in region]
        return self._read_outer(indices).reshape(shape)[tuple(drops)]

    def _points(self, key: tuple[Any, ...]) -> NDArray[Any]:
        """Index arrays that are broadcast against each other, then slices."""
        arrays = [one for one in key if not isinstance(one, slice)]
        shape = np.broadcast_shapes(*(np.shape(one) for one in arrays))
        slices = [
            range(*one.indices(length)) for one, length in zip(key, self.shape, strict=True) if isinstance(one, slice)
        ]
        full = shape + tuple(len(one) for one in slices)
        indices, seen = [], 0
        for one, length in zip(key, self.shape, strict=True):
            if isinstance(one, slice):
                after = len(slices) - seen - 1
                index = np.asarray(slices[seen]).reshape((-1,) + (1,) * after)
                seen += 1
            else:
                one = np.asarray(one)
                index = np.where(one < 0, one + length, one)
                index = index.reshape((1,) * (len(shape) - index.ndim) + index.shape + (1,) * len(slices))
            indices.append(np.broadcast_to(index, full).astype("uint64").ravel())
        if 0 in full:
            return np.empty(full, self.dtype)
        if self._on_error == "nan":
            return self._unreadable(
                lambda: self._snapshot._inner.read_points(self._info.name, indices), indices, True
            ).reshape(full)
        return self._snapshot._inner.read_points(self._info.name, indices).reshape(full)

    def _read(self, bounds: list[tuple[int, int]]) -> NDArray[Any]:
        if self._on_error == "nan":
            indices = [np.arange(start, end, dtype="uint64") for start, end in bounds]
            return self._unreadable(lambda: self._snapshot._inner.read(self._info.name, bounds), indices, False)
        return self._snapshot._inner.read(self._info.name, bounds)

    def _read_outer(self, indices: list[NDArray[Any]]) -> NDArray[Any]:
        if self._on_error == "nan":
            return self._unreadable(lambda: self._snapshot._inner.read_outer(self._info.name, indices), indices, False)
        return self._snapshot._inner.read_outer(self._info.name, indices)

    def _unreadable(self, read: Any, indices: list[NDArray[Any]], points: bool) -> NDArray[Any]:
        """Reads slot by slot when all at once fails."""
        try:
            return read()  # type: ignore[no-any-return]
        except Error:
            pass
        name, reasons = self._info.name, []
        slots = sum(1 for _ in itertools.takewhile(lambda chunk: chunk == 1, self._info.chunks))
        if points:
            values = np.full(len(indices[0]), np.nan, self.dtype)
            keys, inverse = np.unique(np.stack(indices[:slots]), axis=1, return_inverse=True)
            for number, slot in enumerate(keys.T):
                chosen = np.flatnonzero(inverse.ravel() == number)
                try:
                    values[chosen] = self._snapshot._inner.read_points(name, [one[chosen] for one in indices])
                except Error as error:
                    reasons.append(f"{name}{slot.tolist()}: {error}")
        else:
            lead = [one.tolist() for one in indices[:slots]]
            rest = indices[slots:]
            parts = []
            for index in itertools.product(*lead):
                own = [np.array([i], "uint64") for i in index]
                try:
                    parts.append(self._snapshot._inner.read_outer(name, own + rest))
                except Error as error:
                    parts.append(np.full(int(np.prod([len(one) for one in rest])), np.nan, self.dtype))
                    reasons.append(f"{name}{list(index)}: {error}")
            values = np.concatenate(parts)
        text = "\n  ".join(reasons)
        warnings.warn(f"{len(reasons)} slots could not be read and are NaN:\n  {text}", UnreadableWarning, stacklevel=2)
        return values


class PlainArray(BackendArray):
    """A lazy array that is not a cube's, by zarr-python."""

    __slots__ = ("_array", "_info", "_snapshot", "dtype", "shape")

    def __init__(self, snapshot: Snapshot, info: ArrayInfo) -> None:
        self._snapshot = snapshot
        self._info = info
        self._array: Any = None
        self.shape = info.shape
        try:
            self.dtype = np.dtype(info.data_type)
        except TypeError:
            self.dtype = self._open().dtype

    def _open(self) -> Any:
        if self._array is None:
            import zarr

            self._array = zarr.open_array(self._snapshot.store, path=self._info.name, mode="r")
        return self._array

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        def read(wanted: tuple[Any, ...]) -> Any:
            return self._open().oindex[wanted]

        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, read)

    async def async_getitem(self, key: indexing.ExplicitIndexer) -> Any:
        return await asyncio.to_thread(self.__getitem__, key)

    def __reduce__(self) -> tuple[Any, ...]:
        return PlainArray, (self._snapshot, self._info)
