"""Transactions that several processes write to: forks travel, one process commits."""

import multiprocessing
import pickle

import distributed
import numpy as np
import pytest
import xarray as xr
import zarr

import gribchunk
from gribchunk.coverage import STATES


def materialise(fork, step):
    """What a worker does; the fork goes back with its changes."""
    report = fork.materialise({"variable": "t2m", "step": step})
    return fork, report.materialised


def spawn_pool():
    return multiprocessing.get_context("spawn").Pool(2)


def test_workers_materialise_a_run_in_one_commit(repository, expected):
    before = repository.snapshot()
    with repository.transaction(message="materialise on a cluster") as tx, spawn_pool() as pool:
        results = pool.starmap(materialise, [(tx.fork(), step) for step in (0, 3, 6)])
        assert repository.snapshot().id == before.id, "nothing is visible before the commit"
        assert tx.merge(*(fork for fork, _ in results)) == 12
    assert [count for _, count in results] == [4, 4, 4]
    assert repository.snapshot().id == tx.snapshot_id
    assert len(repository.log()) == len(repository.log(before.id)) + 1
    assert (repository.coverage("variable=t2m").t2m == STATES["materialised"]).all()
    dataset = xr.open_dataset(repository.location, engine="gribchunk")
    assert expected.disagreeing(lambda variable, labels: dataset[variable].sel(labels).values) == []


def write(fork, index):
    dataset = xr.Dataset({"mean": (("step", "latitude", "longitude"), np.full((1, 19, 36), index, "f4"))})
    with zarr.config.set({"array.write_empty_chunks": True}):
        dataset.to_zarr(fork.store, region={"step": slice(index, index + 1)}, consolidated=False)
    return fork


def test_workers_write_regions_of_an_array_that_is_new(repository):
    template = xr.Dataset({"mean": (("step", "latitude", "longitude"), np.zeros((3, 19, 36), "f4"))})
    with repository.transaction(message="means") as tx, spawn_pool() as pool:
        encoding = {"mean": {"chunks": (1, 19, 36)}}
        template.chunk().to_zarr(tx.store, mode="a", compute=False, encoding=encoding, consolidated=False)
        tx.merge(*pool.starmap(write, [(tx.fork(), index) for index in range(3)]))
    mean = xr.open_dataset(repository.location, engine="gribchunk")["mean"]
    assert mean.max(["latitude", "longitude"]).values.tolist() == [0, 1, 2]


def test_a_fork_sees_its_beginning_only(repository):
    with repository.transaction() as tx:
        zarr.open_group(tx.store)["t2m"][0, 0, 0] = 1.0
        fork = tx.fork()
        zarr.open_group(tx.store)["t2m"][0, 0, 0] = 2.0
        assert (fork.base.read("t2m", "step=0,number=0") == 1.0).all()
        group = zarr.open_group(fork.store)
        group["t2m"][0, 0, 1] = 3.0
        assert (group["t2m"][0, 0, 0] == 1.0).all()
        assert tx.merge(fork) == 1
    values = repository.snapshot().read("t2m", "step=0,number=0:1")[0, 0]
    assert (values[0] == 2.0).all()
    assert (values[1] == 3.0).all()


def test_an_erased_chunk(repository):
    with repository.transaction() as tx:
        fork = tx.fork()
        fork.store.delete_sync("t2m/c/0/0/0/0/0")
        assert tx.merge(pickle.loads(pickle.dumps(fork))) == 1
    assert repository.coverage("variable=t2m").t2m[0, 0, 0] == STATES["missing"]


def test_forks_change_chunks_only(repository):
    with repository.transaction() as tx:
        fork = tx.fork()
        zarr.open_group(fork.store)["t2m"].attrs["note"] = "x"
        with pytest.raises(gribchunk.InvalidError, match="before it is forked"):
            fork.changes()


def test_what_does_not_come_from_a_fork(repository):
    tx = repository.transaction()
    for wrong in (b"", b"\x93\x01\xa0", bytes(100)):
        with pytest.raises(gribchunk.InvalidError, match="changes"):
            tx._inner.merge(wrong)
    fork = tx.fork()
    tx.discard()
    with pytest.raises(gribchunk.ClosedError):
        tx.merge(fork)
    with pytest.raises(gribchunk.ClosedError):
        tx.fork()


def test_a_fork_that_came_back_is_merged_only(repository):
    tx = repository.transaction()
    fork = tx.fork()
    fork.materialise("variable=t2m,step=0")
    back = pickle.loads(pickle.dumps(fork))
    with pytest.raises(gribchunk.InvalidError, match="came back"):
        _ = back.store
    assert tx.merge(back) == 4


def test_no_credentials_travel(repository):
    text = pickle.dumps(repository.transaction().fork())
    assert len(text) < 1000


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_of_dask(repository):
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        with repository.transaction(message="materialise on a cluster") as tx:
            futures = [client.submit(materialise, tx.fork(), step) for step in (0, 3, 6)]
            assert tx.merge(*(fork for fork, _ in client.gather(futures))) == 12
        lazy = xr.open_dataset(repository.location, engine="gribchunk", chunks={})
        mean = lazy.t2m.mean("number").compute()
    assert (repository.coverage("variable=t2m").t2m == STATES["materialised"]).all()
    loaded = xr.open_dataset(repository.location, engine="gribchunk").t2m.load()
    xr.testing.assert_allclose(mean, loaded.mean("number"))
