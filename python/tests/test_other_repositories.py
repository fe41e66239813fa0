"""Repositories that others made open here, and ours open elsewhere."""

import icechunk
import numpy as np
import pytest
import virtualizarr
import xarray as xr
import zarr
from conftest import RUN, sha256
from gribberish.virtualizarr import GribberishParser
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore

import gribchunk

STEP = 3
#: gribberish's names of groups and variables, and ecCodes' short names (its "cfrzr" is ECMWF's `tp`).
NAMES = {
    "hag/instant/tmp": "2t",
    "hag/instant/ugrd": "10u",
    "hag/instant/vgrd": "10v",
    "isobar/instant/hgt": "gh",
    "isobar/instant/tmp": "t",
    "msl/instant/pres": "msl",
    "sfc/acc3h/cfrzr": "tp",
}


def made_by_icechunk(path, prefix):
    """An empty repository of icechunk-python whose virtual chunks lie below `prefix`."""
    container = f"file://{prefix}/"
    config = icechunk.RepositoryConfig.default()
    config.set_virtual_chunk_container(
        icechunk.VirtualChunkContainer(container, icechunk.local_filesystem_store(str(prefix)))
    )
    access = icechunk.containers_credentials({container: icechunk.credentials.LocalFileSystemAccess})
    storage = icechunk.local_filesystem_storage(str(path))
    repository = icechunk.Repository.create(storage, config=config, authorize_virtual_chunk_access=access)
    repository.save_config()
    return repository


@pytest.fixture
def virtual(tmp_path, run):
    """One file of the run by VirtualiZarr with gribberish's parser."""
    repository = made_by_icechunk(tmp_path / "virtual", run)
    parsed = virtualizarr.open_virtual_datatree(
        f"file://{run}/{RUN.format(STEP)}",
        registry=ObjectStoreRegistry({"file://": LocalStore()}),
        parser=GribberishParser(use_index="auto"),
    )
    session = repository.writable_session("main")
    for node in parsed.subtree:
        if node.data_vars:
            node.to_dataset(inherit=False).vz.to_icechunk(session.store, group=node.path)
    session.commit("by VirtualiZarr")
    return repository


@pytest.mark.filterwarnings("ignore")
def test_virtualizarr_with_gribberish(virtual, tmp_path, run, expected):
    ours = gribchunk.open(tmp_path / "virtual", allow=[str(run)]).snapshot()
    tree = xr.open_datatree(ours, engine="gribchunk")
    peer = zarr.open_group(virtual.readonly_session("main").store, mode="r")
    fields = [field for field in expected.fields if field["endStep"] == STEP]
    compared = 0
    for path, name in NAMES.items():
        group, _, variable = path.rpartition("/")
        lazy = tree[group][variable]
        np.testing.assert_allclose(lazy.values, peer[path][...], rtol=1e-6, atol=1e-5)
        np.testing.assert_array_equal(ours.read(path), lazy.values)
        for field in (field for field in fields if field["shortName"] == name):
            labels = {"number": field.get("number", 0)}
            if "isobar" in lazy.dims:
                labels["isobar"] = field["level"] * 100
            values = lazy.isel(time=0).sel(labels).values
            assert sha256(values) == field["values"]["sha256_f32le"], (path, labels)
            compared += 1
    assert compared == len(fields) == 36


def test_a_place_that_is_not_allowed(virtual, tmp_path):
    snapshot = gribchunk.open(tmp_path / "virtual").snapshot()
    with pytest.raises(PermissionError, match="allow"):
        snapshot.read("hag/instant/tmp")


def test_plain_icechunk_both_ways(tmp_path):
    values = np.arange(24.0).reshape(2, 3, 4)
    plain = icechunk.Repository.create(icechunk.local_filesystem_storage(str(tmp_path / "plain")))
    session = plain.writable_session("main")
    xr.Dataset({"x": (("a", "b", "c"), values)}).to_zarr(session.store, consolidated=False)
    session.commit("by icechunk-python")

    dataset = xr.open_dataset(tmp_path / "plain", engine="gribchunk")
    np.testing.assert_array_equal(dataset.x.isel(b=[2, 0], c=slice(None, None, -1)), values[:, [2, 0], ::-1])
    repository = gribchunk.open(tmp_path / "plain")
    with repository.transaction(message="by gribchunk") as tx:
        zarr.open_group(tx.store)["x"][0] = -1.0

    again = icechunk.Repository.open(icechunk.local_filesystem_storage(str(tmp_path / "plain")))
    assert [entry.message for entry in again.ancestry(branch="main")][:2] == ["by gribchunk", "by icechunk-python"]
    x = zarr.open_group(again.readonly_session("main").store, mode="r")["x"]
    assert (x[0] == -1.0).all()
    np.testing.assert_array_equal(x[1], values[1])
