"""xarray's own tests of its Zarr backend, un-overridden, writing to and reading from the store of a transaction."""

import contextlib
import tempfile

import pytest
import zarr

backends = pytest.importorskip("xarray.tests.test_backends")
from xarray.tests.conftest import *  # noqa: E402, F403 - their fixtures

import gribchunk  # noqa: E402


@pytest.mark.conformance
@pytest.mark.filterwarnings("ignore")
class TestZarr(backends.ZarrBase):
    version_kwargs = {}

    @pytest.fixture
    def default_zarr_format(self):
        with zarr.config.set({"default_zarr_format": 3}):
            yield

    @contextlib.contextmanager
    def create_zarr_target(self):
        with tempfile.TemporaryDirectory() as directory:
            yield gribchunk.create(directory).transaction().store
