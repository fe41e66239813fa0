"""Every field has ecCodes' values, on every way to read it."""

import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr
from conftest import FIXTURES, sha256

import gribchunk


def by_labels(dataset):
    return lambda variable, labels: dataset[variable].sel(labels).values


def test_engine(repository, expected):
    dataset = xr.open_dataset(repository.location, engine="gribchunk")
    assert expected.disagreeing(by_labels(dataset)) == []


def test_store(repository, expected):
    dataset = xr.open_zarr(repository.snapshot().store, consolidated=False, decode_timedelta=True, chunks=None)
    assert expected.disagreeing(by_labels(dataset)) == []


def test_store_through_zarr_itself(repository):
    group = zarr.open_group(repository.snapshot().store, mode="r")
    assert group["t2m"].metadata.codecs[0].to_dict() == {"name": "bytes", "configuration": {"endian": "little"}}
    values = repository.snapshot().read("t2m")
    np.testing.assert_array_equal(group["t2m"][...], values)
    np.testing.assert_array_equal(group["t2m"][0, 1, 2, 5:9, ::3], values[0, 1, 2, 5:9, ::3])


def test_icechunk_with_our_codec(repository, expected, run):
    container = f"file://{run.resolve()}/"
    storage = icechunk.local_filesystem_storage(repository.location)
    access = icechunk.containers_credentials({container: icechunk.credentials.LocalFileSystemAccess})
    plain = icechunk.Repository.open(storage, authorize_virtual_chunk_access=access)
    store = plain.readonly_session("main").store
    codec = zarr.open_group(store, mode="r")["t2m"].metadata.codecs[0]
    assert type(codec).__module__ == "gribchunk.zarr_codec"
    dataset = xr.open_zarr(store, consolidated=False, decode_timedelta=True, chunks=None)
    assert expected.disagreeing(by_labels(dataset)) == []


def test_stored_view_with_our_codec(repository, expected):
    store = repository.snapshot().stored
    dataset = xr.open_zarr(store, consolidated=False, decode_timedelta=True, chunks=None)
    assert expected.disagreeing(by_labels(dataset)) == []


def test_one_file_without_a_repository(expected):
    path = FIXTURES / "ens" / "20261121000000-6h-enfo-ef.grib2"
    dataset = xr.open_dataset(path, engine="gribchunk")
    fields = [field for field in expected.fields if field["endStep"] == 6]
    for field in fields:
        variable, labels = expected.indexers(field)
        assert sha256(dataset[variable].sel(labels).values) == field["values"]["sha256_f32le"]
    assert list(xr.open_dataset(path)) == list(dataset), "found without naming the engine"


def test_many_files_without_a_repository(expected):
    dataset = gribchunk.open_index([FIXTURES / "ens" / "*.index"])
    assert expected.disagreeing(by_labels(dataset)) == []
    selected = gribchunk.open_index(FIXTURES / "ens", select="variable=t2m/tp")
    assert set(selected.data_vars) == {"t2m", "tp"}


@pytest.mark.parametrize("path", sorted((FIXTURES / "packing").glob("*.grib?")), ids=lambda path: path.name)
def test_packings(path):
    import json

    wanted = json.loads(path.with_name(path.name + ".expected.json").read_text())["field"][0]
    dataset = xr.open_dataset(path, engine="gribchunk")
    (name,) = [name for name, one in dataset.data_vars.items() if one.size > 1]
    assert sha256(dataset[name].values.ravel()) == wanted["values"]["sha256_f32le"]
