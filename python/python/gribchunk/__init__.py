"""One consistent dataset of a forecast that is still arriving: GRIB files as a Zarr store on Icechunk.

>>> import gribchunk, tempfile, xarray as xr
>>> directory = tempfile.mkdtemp()
>>> repo = gribchunk.create(directory, sources=["fixtures/ens"])
>>> repo.ingest(["fixtures/ens"]).is_complete
True
>>> ds = xr.open_dataset(directory, engine="gribchunk")
>>> ds.t2m.dims
('time', 'step', 'number', 'latitude', 'longitude')
"""

from gribchunk import errors, repository
from gribchunk._gribchunk import __version__
from gribchunk._reports import AllocateReport, FileReport, IngestReport, LogEntry, MaterialiseReport
from gribchunk.errors import (
    AlreadyExistsError,
    AmbiguousError,
    ClosedError,
    ConflictError,
    Error,
    ForkError,
    GribError,
    InvalidError,
    LayoutError,
    NotAllowedError,
    NotFoundError,
    ReadOnlyError,
    RepositoryError,
    SourceChangedError,
    SourceError,
    StorageError,
    UnreadableWarning,
    UnverifiedError,
    WrongFieldError,
)
from gribchunk.repository import Repository, create, open, open_index
from gribchunk.snapshot import Snapshot
from gribchunk.transaction import Transaction

__all__ = [
    "AllocateReport",
    "AlreadyExistsError",
    "AmbiguousError",
    "ClosedError",
    "ConflictError",
    "Error",
    "FileReport",
    "ForkError",
    "GribError",
    "IngestReport",
    "InvalidError",
    "LayoutError",
    "LogEntry",
    "MaterialiseReport",
    "NotAllowedError",
    "NotFoundError",
    "ReadOnlyError",
    "Repository",
    "RepositoryError",
    "Snapshot",
    "SourceChangedError",
    "SourceError",
    "StorageError",
    "Transaction",
    "UnreadableWarning",
    "UnverifiedError",
    "WrongFieldError",
    "__version__",
    "create",
    "errors",
    "open",
    "open_index",
    "repository",
]
