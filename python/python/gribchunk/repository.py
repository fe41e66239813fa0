"""Repositories: create, open, fill, inspect."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from gribchunk import _arguments, _gribchunk, _reports
from gribchunk._arguments import Select, Sources, Time
from gribchunk.errors import InvalidError
from gribchunk.snapshot import MemoryOrigin, Origin, Snapshot
from gribchunk.transaction import Transaction

if TYPE_CHECKING:
    import xarray as xr

type Path = str | os.PathLike[str]
type OnConflict = Literal["replace", "keep", "fail"]


def create(
    path: Path,
    sources: Sources = (),
    *,
    times: Time | Iterable[Time] | None = None,
    steps: Any = None,
    members: Any = None,
    select: Select | None = None,
    group: str | None = None,
    level_dimensions: Sequence[str] = (),
    control: str | None = None,
    allow: Sequence[str] = (),
    require_verified: bool = False,
    cache_bytes: int | None = None,
) -> Repository:
    """Makes a repository with an empty cube that has a place for every field of a run.

    ``sources`` are samples (GRIB files, directories, globs; index sidecars are used where they are) that show which
    variables, steps, members and grids there are. ``times``, ``steps`` (hours: ``"0:144:3"`` or a list) and
    ``members`` (``"0:50"`` or a list) take the place of those of the samples; a mapping of ``steps`` gives those of the
    cycles that start at certain hours (``{"00/12": "0:144:3", "06/18": "0:90:3"}``). ``control`` is the MARS stream and
    type (``"oper/fc"``) of deterministic fields that are the control. Nothing is ingested yet.

    >>> import gribchunk, tempfile
    >>> directory = tempfile.mkdtemp()
    >>> repo = gribchunk.create(directory, sources=["fixtures/ens"], select="variable=t2m")
    >>> repo.snapshot().arrays()
    ['heightAboveGround2', 'latitude', 'latitude_longitude', 'longitude', 'number', 'step', 't2m', 'time', 'valid_time']
    """
    where = _arguments.path(path)
    cycles = _arguments.cycles(steps) if isinstance(steps, Mapping) else []
    inner = _gribchunk.Repository.create(
        where,
        _arguments.sources(sources),
        times=None if times is None else _arguments.times(times),
        steps=None if cycles else _arguments.numbers(steps),
        cycles=cycles,
        control=control,
        members=_arguments.numbers(members),
        select=_arguments.select(select),
        group=group,
        level_dimensions=list(level_dimensions),
        allow=list(allow),
        require_verified=require_verified,
        cache_bytes=cache_bytes,
    )
    return Repository(inner, Origin(inner.location, tuple(allow), require_verified, cache_bytes))


def open(
    path: Path,
    *,
    allow: Sequence[str] = (),
    require_verified: bool = False,
    cache_bytes: int | None = None,
) -> Repository:
    """Opens a repository: one of ours, or any Icechunk repository.

    Virtual chunks are read only from places that this user ingested from, or that ``allow`` (or ``GRIBCHUNK_ALLOW``)
    names. With ``require_verified``, chunks whose source cannot be checked to be the one that was ingested are refused.
    ``cache_bytes`` bounds the decoded fields that a snapshot keeps.
    """
    origin = Origin(_arguments.path(path), tuple(allow), require_verified, cache_bytes)
    inner = origin.open()
    return Repository(inner, Origin(inner.location, tuple(allow), require_verified, cache_bytes))


def open_index(sources: Sources, *, select: Select | None = None, level_dimensions: Sequence[str] = ()) -> xr.Dataset:
    """A dataset of GRIB files (or of those beside index sidecars) without a repository on disk.

    >>> import gribchunk
    >>> ds = gribchunk.open_index(["fixtures/ens"], select="variable=t2m")
    >>> dict(ds.t2m.sizes)
    {'time': 1, 'step': 3, 'number': 4, 'latitude': 19, 'longitude': 36}
    """
    import xarray as xr

    return xr.open_dataset(
        _arguments.sources(sources),  # type: ignore[arg-type]
        engine="gribchunk",
        select=select,
        level_dimensions=level_dimensions,
    )


def open_sources(sources: Sources, select: Select | None = None, level_dimensions: Sequence[str] = ()) -> Snapshot:
    """A snapshot of a repository in memory that holds all fields of the sources, virtual."""
    origin = MemoryOrigin.of(_arguments.sources(sources), _arguments.select(select), tuple(level_dimensions))
    return Snapshot(origin.ingested().snapshot("main"), origin)


class Repository:
    """A repository. Made by :func:`create` and :func:`open`."""

    def __init__(self, inner: _gribchunk.Repository, origin: Origin) -> None:
        self._inner = inner
        self._origin = origin

    def __repr__(self) -> str:
        return f"<gribchunk.Repository {self.location}>"

    @property
    def location(self) -> str:
        """Where it is."""
        return self._inner.location

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._origin,)

    def allocate(self, times: Time | Iterable[Time] | None = None, sources: Sources = ()) -> _reports.AllocateReport:
        """Adds reference times to the cube, all NaN until their fields are ingested.

        With ``sources``, what these samples have besides is added too: steps, members, levels, variables, products.
        """
        if times is None and not sources:
            raise InvalidError("nothing to allocate: give times, or samples of what is new")
        added, snapshot = self._inner.allocate(
            None if times is None else _arguments.times(times), _arguments.sources(sources)
        )
        return _reports.AllocateReport(**json.loads(added), snapshot=snapshot)

    def ingest(
        self,
        sources: Sources,
        *,
        materialise: Select | None = None,
        on_conflict: OnConflict = "replace",
        commit_each: bool = False,
        new_times: Literal["allocate", "refuse"] = "allocate",
    ) -> _reports.IngestReport:
        """Puts the fields of files into their slots. All fields of a file become visible in one commit.

        ``materialise`` selects fields that are decoded and stored at once (``""``: all); the others become virtual.
        Reference times that the cube does not have are allocated first, or their fields refused (``new_times``).
        Bad files and fields do not stop the good ones: they are in the report, and in the repository's ledger.
        """
        report = self._inner.ingest(
            _arguments.sources(sources),
            materialise=_arguments.select(materialise),
            on_conflict=on_conflict,
            commit_each=commit_each,
            new_times=new_times,
        )
        return _reports.ingest_report(report)

    def materialise(self, select: Select | None = None, *, batch: int | None = None) -> _reports.MaterialiseReport:
        """Decodes virtual chunks of a selection (all by default) and stores them; ``batch`` slots in a commit."""
        return _reports.materialise_report(self._inner.materialise(select=_arguments.select(select), batch=batch))

    def snapshot(self, at: Time = "main") -> Snapshot:
        """Pins a branch, tag, snapshot id or moment: whatever is committed later, reads through it do not change."""
        return Snapshot(self._inner.snapshot(_arguments.reference(at)), self._origin)

    def transaction(
        self, branch: str = "main", *, message: str = "write", on_conflict: OnConflict = "replace"
    ) -> Transaction:
        """Starts a transaction, best in a ``with`` block: it is committed at the end, discarded on an exception."""
        return Transaction(self._inner.transaction(branch), message, on_conflict)

    def coverage(self, select: Select | None = None, at: Time = "main") -> xr.Dataset:
        """What every slot is: one variable of states for each variable of the cube, as CF flags.

        See :data:`gribchunk.coverage.STATES` for the numbers.
        """
        from gribchunk.coverage import dataset

        return dataset(json.loads(self._inner.coverage(_arguments.reference(at), _arguments.select(select))))

    def failures(self, at: Time = "main") -> list[dict[str, Any]]:
        """The fields and files that were refused: url, offset, field, slot, reason."""
        failures: list[dict[str, Any]] = json.loads(self._inner.coverage(_arguments.reference(at)))["failures"]
        return failures

    def log(self, at: Time = "main", *, limit: int = 1000) -> list[_reports.LogEntry]:
        """The snapshots, newest first."""
        return [_reports.log_entry(entry) for entry in json.loads(self._inner.log(_arguments.reference(at), limit))]

    def show(self, at: Time = "main") -> dict[str, Any]:
        """Dimensions, variables, and how many slots are missing, virtual and materialised."""
        summary: dict[str, Any] = json.loads(self._inner.show(_arguments.reference(at)))
        return summary


def _reopen(origin: Origin) -> Repository:
    return Repository(origin.open(), origin)
