"""Indexing and metadata of the xarray engine."""

import pickle

import dask
import numpy as np
import pytest
import xarray as xr
from conftest import FIXTURES

import gribchunk
from gribchunk.errors import UnreadableWarning


@pytest.fixture
def dataset(repository):
    return xr.open_dataset(repository.location, engine="gribchunk")


@pytest.fixture
def loaded(repository):
    return xr.open_dataset(repository.location, engine="gribchunk").load()


def test_metadata(dataset):
    assert dataset.t2m.dims == ("time", "step", "number", "latitude", "longitude")
    assert dataset.t.dims == ("time", "step", "number", "isobaricInhPa", "latitude", "longitude")
    assert dataset.time.values[0] == np.datetime64("2026-11-21T00")
    assert list(dataset.step.values) == [np.timedelta64(hours, "h") for hours in (0, 3, 6)]
    assert dataset.valid_time.values[0, 2] == np.datetime64("2026-11-21T06")
    assert "valid_time" in dataset.t2m.coords
    assert list(dataset.number) == [0, 1, 2, 3]
    assert dataset.t2m.attrs["units"] == "K"
    assert dataset.t2m.attrs["GRIB_paramId"] == 167
    assert dataset.latitude.attrs["standard_name"] == "latitude"


def test_nothing_is_read_on_opening(dataset):
    assert not dataset.t2m._in_memory


INDEXERS = [
    {},
    {"step": 1},
    {"step": -1, "number": slice(None, None, -1)},
    {"latitude": slice(3, 9), "longitude": slice(30, 4, -3)},
    {"latitude": slice(None, None, 5), "number": slice(1, 3)},
    {"latitude": [3, 1, 1], "longitude": [0, -1]},
    {"number": [2, 0], "step": np.array([True, False, True])},
    {"latitude": slice(4, 4)},
    {"time": 0, "step": 0, "number": 0, "latitude": 0, "longitude": 0},
    {"latitude": xr.DataArray([1, 5, 5], dims="point"), "longitude": xr.DataArray([2, 0, -1], dims="point")},
    {
        "step": xr.DataArray([[0, 2], [1, 1]], dims=("a", "b")),
        "latitude": xr.DataArray([7, -2], dims="b"),
        "number": slice(3, None, -2),
    },
    {"step": xr.DataArray([2, 0], dims="point"), "number": xr.DataArray([1, 3], dims="point")},
]


@pytest.mark.parametrize("indexers", INDEXERS, ids=str)
@pytest.mark.parametrize("variable", ["t2m", "msl", "tp"])
def test_indexing(repository, loaded, variable, indexers):
    lazy = xr.open_dataset(repository.location, engine="gribchunk")[variable]
    xr.testing.assert_identical(lazy.isel(indexers).load(), loaded[variable].isel(indexers))


@pytest.mark.parametrize("indexers", INDEXERS, ids=str)
def test_indexing_of_what_is_not_a_cube(repository, loaded, indexers):
    plain = loaded[["t2m"]].astype("float64").drop_vars(list(loaded.t2m.coords)).transpose(..., "longitude", "latitude")
    with repository.transaction() as tx:
        encoding = {"t2m": {"chunks": (1, 2, 3, 10, 10)}}
        plain.to_zarr(tx.store, group="plain", mode="a", encoding=encoding, consolidated=False)
    lazy = xr.open_dataset(repository.location, engine="gribchunk", group="plain").t2m
    assert lazy.dtype == "float64"
    assert not lazy._in_memory
    np.testing.assert_array_equal(lazy.isel(indexers).values, plain.t2m.isel(indexers).values)


def test_texts(repository):
    texts = np.array([f"member {number}" for number in range(12)], dtype=object)
    with repository.transaction() as tx:
        xr.Dataset({"names": ("name", texts)}).to_zarr(tx.store, group="texts", mode="a", consolidated=False)
    names = xr.open_dataset(repository.location, engine="gribchunk", group="texts").names
    assert names[[3, 1]].values.tolist() == ["member 3", "member 1"]


def test_indexing_twice(dataset, loaded):
    lazy = dataset.t2m.isel(latitude=slice(2, 12)).isel(latitude=[5, 0], step=[2, 0])
    assert not lazy._in_memory
    xr.testing.assert_identical(lazy.load(), loaded.t2m.isel(latitude=[7, 2], step=[2, 0]))


def test_nearest(dataset, loaded):
    where = {"latitude": 41.2, "longitude": 52.9, "method": "nearest"}
    xr.testing.assert_identical(dataset.t2m.sel(**where).load(), loaded.t2m.sel(**where))


def test_missing_is_nan(empty):
    dataset = xr.open_dataset(empty.location, engine="gribchunk")
    assert dataset.t2m.isnull().all()


def test_dask(repository, loaded):
    chunked = xr.open_dataset(repository.location, engine="gribchunk", chunks={})
    assert chunked.t2m.chunks[-2:] == ((19,), (36,))
    with dask.config.set(scheduler="threads"):
        xr.testing.assert_identical(chunked.load(), loaded)
    with dask.config.set(scheduler="processes", **{"multiprocessing.context": "spawn"}):
        mean = xr.open_dataset(repository.location, engine="gribchunk", chunks={}).t2m.mean("number").load()
    xr.testing.assert_allclose(mean, loaded.t2m.mean("number"))


def test_pickles(dataset, repository, loaded):
    again = pickle.loads(pickle.dumps(dataset))
    assert not again.t2m._in_memory
    xr.testing.assert_identical(again.load(), loaded)


def test_files_pickle_and_notice_a_change(run):
    dataset = gribchunk.open_index([run])
    text = pickle.dumps(dataset)
    xr.testing.assert_identical(pickle.loads(text).load(), dataset.load())
    victim = run / "20261121000000-3h-enfo-ef.grib2"
    victim.write_bytes(victim.read_bytes() + b"\0")
    gribchunk.snapshot._pins.clear()  # as in another process
    with pytest.raises(gribchunk.SourceChangedError):
        pickle.loads(text)


def test_at(empty, run):
    before = empty.snapshot().id
    empty.ingest([run])
    empty_one = xr.open_dataset(empty.location, engine="gribchunk", at=before)
    assert empty_one.t2m.isnull().all()
    assert not xr.open_dataset(empty, engine="gribchunk").t2m.isnull().any()
    assert xr.open_dataset(empty.snapshot(before), engine="gribchunk").t2m.isnull().all()


def test_a_source_that_is_gone(repository, run):
    (run / "20261121000000-3h-enfo-ef.grib2").unlink()
    dataset = xr.open_dataset(repository.location, engine="gribchunk")
    with pytest.raises(gribchunk.SourceError, match="3h-enfo-ef.grib2.*gone"):
        dataset.t2m.load()
    dataset = xr.open_dataset(repository.location, engine="gribchunk", on_error="nan")
    with pytest.warns(UnreadableWarning, match="(?s)4 slots.*3h-enfo-ef.grib2"):
        t2m = dataset.t2m.load()
    assert t2m.isel(step=1).isnull().all()
    assert not t2m.isel(step=[0, 2]).isnull().any()
    points = {"step": xr.DataArray([0, 1], dims="point"), "latitude": xr.DataArray([3, 3], dims="point")}
    with pytest.warns(UnreadableWarning):
        some = xr.open_dataset(repository.location, engine="gribchunk", on_error="nan").t2m.isel(points).load()
    assert list(some.isnull().all(["time", "number", "longitude"])) == [False, True]


# The points of an unstructured grid stand in a file of its own; those of HEALPix are not computed.
NO_COORDINATES = ("unstructured.grib2", "healpix.grib2")


def test_groups(tmp_path):
    tree = xr.open_datatree([str(FIXTURES / "gefs")], engine="gribchunk")
    datasets = [node.to_dataset() for node in tree.subtree if node.data_vars]
    assert len(datasets) == 2, "members, and the mean"
    assert all(not dataset.t2m.isnull().any() for dataset in datasets)


@pytest.mark.parametrize(
    "path", sorted(path for path in (FIXTURES / "grids").glob("*.grib?")), ids=lambda path: path.name
)
def test_grids(path):
    if path.name.startswith("spherical"):
        with pytest.raises(gribchunk.Error, match="(?i)spherical|grid"):
            xr.open_dataset(path, engine="gribchunk")
        return
    dataset = xr.open_dataset(path, engine="gribchunk")
    assert np.isfinite(dataset.to_dataarray().values).all()
    assert {"latitude", "longitude"} <= set(dataset.coords) or path.name in NO_COORDINATES
