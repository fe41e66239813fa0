"""Writing through xarray and zarr in a transaction."""

import numpy as np
import pytest
import xarray as xr
import zarr

import gribchunk
from gribchunk.coverage import STATES


def open_dataset(repository):
    return xr.open_dataset(repository.location, engine="gribchunk")


def test_a_region(repository):
    before = open_dataset(repository).load()
    pinned = repository.snapshot()
    corrected = before[["t2m"]].isel(step=[1]).reset_coords(drop=True) + 1
    corrected = corrected.drop_vars([name for name in corrected.coords])
    with repository.transaction("main", message="bias corrected") as tx:
        corrected.to_zarr(tx.store, region={"step": slice(1, 2)}, consolidated=False)
        assert np.array_equal(open_dataset(repository).t2m, before.t2m), "not visible before the commit"
        inside = xr.open_zarr(tx.store, consolidated=False, chunks=None)
        np.testing.assert_array_equal(inside.t2m.isel(step=1), before.t2m.isel(step=1) + 1)
    after = open_dataset(repository)
    np.testing.assert_array_equal(after.t2m.isel(step=1), before.t2m.isel(step=1) + 1)
    np.testing.assert_array_equal(after.t2m.isel(step=[0, 2]), before.t2m.isel(step=[0, 2]))
    np.testing.assert_array_equal(pinned.read("t2m"), before.t2m)
    assert repository.log()[0].message == "bias corrected"
    assert repository.log()[0].id == tx.snapshot_id
    states = repository.coverage("variable=t2m").t2m.isel(time=0, number=0)
    assert list(states) == [STATES["virtual"], STATES["materialised"], STATES["virtual"]]


def test_the_stored_codec_stays(repository):
    stored = repository.snapshot().stored.get_sync("t2m/zarr.json").to_bytes()
    with repository.transaction() as tx:
        zarr.open_group(tx.store)["t2m"].attrs["note"] = "checked"
    assert zarr.open_group(repository.snapshot().store, mode="r")["t2m"].attrs["note"] == "checked"
    after = repository.snapshot().stored.get_sync("t2m/zarr.json").to_bytes()
    assert b'"gribchunk"' in stored and b'"gribchunk"' in after


def test_all_nan_is_arrived(empty):
    with empty.transaction() as tx:
        array = zarr.open_group(tx.store)["t2m"]
        array[0, 0, 0] = np.nan
    assert (
        empty.coverage("variable=t2m").t2m.values[0, 0].tolist() == [STATES["materialised"]] + [STATES["missing"]] * 3
    )


def test_a_new_variable_and_group(repository):
    mask = xr.Dataset({"mask": (("latitude", "longitude"), np.arange(19 * 36, dtype="i4").reshape(19, 36))})
    with repository.transaction() as tx:
        mask.to_zarr(tx.store, group="extra", mode="a", consolidated=False)
        mask.to_zarr(tx.store, mode="a", consolidated=False)
    dataset = open_dataset(repository)
    assert not dataset.mask._in_memory
    np.testing.assert_array_equal(
        dataset.mask.isel(latitude=[4, 1], longitude=slice(None, None, -2)),
        mask.mask.isel(latitude=[4, 1], longitude=slice(None, None, -2)),
    )
    extra = xr.open_dataset(repository.location, engine="gribchunk", group="extra")
    xr.testing.assert_equal(extra.drop_vars(list(extra.coords)), mask)


def test_append(tmp_path):
    repository = gribchunk.create(tmp_path / "plain")
    dataset = xr.Dataset({"x": ("time", np.arange(3.0))}, {"time": [0, 1, 2]})
    with repository.transaction() as tx:
        dataset.to_zarr(tx.store, consolidated=False)
    with repository.transaction() as tx:
        dataset.assign_coords(time=[3, 4, 5]).to_zarr(tx.store, append_dim="time", consolidated=False)
    again = open_dataset(repository)
    assert again.x.values.tolist() == [0, 1, 2, 0, 1, 2] and again.time.values.tolist() == [0, 1, 2, 3, 4, 5]


def test_discarded_on_an_exception(repository):
    before = repository.snapshot().id
    with pytest.raises(RuntimeError, match="stop"), repository.transaction() as tx:
        zarr.open_group(tx.store)["t2m"][0, 0, 0] = 0.0
        raise RuntimeError("stop")
    assert repository.snapshot().id == before
    with pytest.raises(gribchunk.ClosedError):
        _ = tx.store
    with pytest.raises(gribchunk.ClosedError):
        tx.commit()


def test_a_store_of_a_closed_transaction(repository):
    with repository.transaction() as tx:
        store = tx.store
    assert tx.snapshot_id is None, "nothing was changed"
    with pytest.raises(gribchunk.ClosedError):
        store.get_sync("zarr.json")


def test_conflicts(repository):
    first, second = repository.transaction(on_conflict="fail"), repository.transaction(on_conflict="fail")
    zarr.open_group(first.store)["t2m"][0, 0, 0] = 1.0
    zarr.open_group(second.store)["t2m"][0, 0, 0] = 2.0
    first.commit()
    with pytest.raises(gribchunk.ConflictError):
        second.commit()
    assert (repository.snapshot().read("t2m", "step=0,number=0") == 1.0).all()


def test_other_chunks_do_not_conflict(repository):
    first, second = repository.transaction(), repository.transaction()
    zarr.open_group(first.store)["t2m"][0, 0, 0] = 1.0
    zarr.open_group(second.store)["t2m"][0, 0, 1] = 2.0
    first.commit()
    second.commit()
    values = repository.snapshot().read("t2m", "step=0,number=0:1")
    assert (values[0, 0, 0] == 1.0).all() and (values[0, 0, 1] == 2.0).all()


def test_metadata_is_not_rebased(repository):
    first, second = repository.transaction(), repository.transaction()
    zarr.open_group(first.store)["t2m"][0, 0, 0] = 1.0
    zarr.open_group(second.store)["t2m"].attrs["note"] = "x"
    first.commit()
    with pytest.raises(gribchunk.ConflictError):
        second.commit()


def test_snapshots_are_read_only(repository):
    group = zarr.open_group(repository.snapshot().store, mode="r+" if False else "r")
    with pytest.raises(ValueError, match="read"):
        group["t2m"][0, 0, 0] = 1.0
    with pytest.raises(gribchunk.ReadOnlyError):
        repository.snapshot()._inner.store(True).set("zarr.json", b"{}")
