#!/usr/bin/env python3
"""Makes an Icechunk repository of virtual references as VirtualiZarr writes it with gribberish's parser.

Needs virtualizarr, gribberish, icechunk, xarray and obstore from PyPI.
Run:  python tools/make_foreign_repository.py REPOSITORY FILE.grib2
Writes the values of all arrays as raw little-endian float64 files into REPOSITORY.values/.
"""
import os
import sys

import icechunk
import numpy
import obstore
import zarr
from gribberish.virtualizarr import GribberishParser
from obspec_utils.registry import ObjectStoreRegistry


def main():
    repository, file = map(os.path.abspath, sys.argv[1:3])
    directory = os.path.dirname(file)
    registry = ObjectStoreRegistry({"file://": obstore.store.LocalStore()})
    manifest_store = GribberishParser()(url="file://" + file, registry=registry)
    config = icechunk.RepositoryConfig.default()
    prefix = f"file://{directory}/"
    config.set_virtual_chunk_container(
        icechunk.VirtualChunkContainer(prefix, icechunk.local_filesystem_store(directory)))
    credentials = icechunk.containers_credentials({prefix: None})
    repo = icechunk.Repository.create(icechunk.local_filesystem_storage(repository), config, credentials)
    session = repo.writable_session("main")
    datatree = manifest_store.to_virtual_datatree(loadable_variables=[])
    datatree.vz.to_icechunk(session.store)
    session.commit("virtual references")
    values = repository + ".values"
    os.makedirs(values, exist_ok=True)
    root = zarr.open_group(repo.readonly_session("main").store, mode="r")
    for name, array in root.members(max_depth=None):
        if isinstance(array, zarr.Array) and array.ndim >= 2:
            numpy.asarray(array[...], dtype="<f8").tofile(os.path.join(values, name.replace("/", "__") + ".f64"))


if __name__ == "__main__":
    main()
