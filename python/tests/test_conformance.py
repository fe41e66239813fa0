"""zarr-python's own store tests, un-overridden, against the store of a transaction."""

import pytest
from zarr.core.buffer import Buffer, cpu
from zarr.testing.store import StoreTests

import gribchunk
from gribchunk.zarr_store import GribchunkStore


class TestStore(StoreTests[GribchunkStore, cpu.Buffer]):
    store_cls = GribchunkStore
    buffer_cls = cpu.Buffer

    async def set(self, store: GribchunkStore, key: str, value: Buffer) -> None:
        store._inner.set(key, value.to_bytes())

    async def get(self, store: GribchunkStore, key: str) -> Buffer:
        return self.buffer_cls.from_bytes(bytes(store._inner.get(key)))

    @pytest.fixture
    def store_kwargs(self, tmp_path):
        transaction = gribchunk.create(tmp_path / "repository").transaction()
        return {"inner": transaction._inner.store(True), "owner": transaction}

    def test_store_repr(self, store):
        assert "gribchunk" in repr(store)

    def test_store_supports_writes(self, store):
        assert store.supports_writes

    def test_store_supports_listing(self, store):
        assert store.supports_listing
