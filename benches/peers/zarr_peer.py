"""What Python users have: zarr-python on icechunk, VirtualiZarr with gribberish's parser and codec."""

import shutil
import time
import warnings

import peer

warnings.filterwarnings("ignore")
try:
    import icechunk
    import numpy
    import virtualizarr
    import xarray
    import zarr
    from gribberish.virtualizarr import GribberishParser
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import LocalStore
except Exception as error:
    peer.stop(f"{type(error).__name__}: {error}")


def create(repository, prefix=None):
    """An empty repository whose virtual chunks may lie below `prefix`."""
    shutil.rmtree(repository, ignore_errors=True)
    config = icechunk.RepositoryConfig.default()
    access = None
    if prefix:
        store = icechunk.local_filesystem_store(prefix)
        config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(f"file://{prefix}/", store))
        access = {f"file://{prefix}/": None}
    storage = icechunk.local_filesystem_storage(repository)
    return icechunk.Repository.create(storage, config=config, authorize_virtual_chunk_access=access)


def init(repository, variables, shape):
    """As many float32 arrays with coordinates, one chunk per field, in one commit."""
    repo = create(repository)
    start = time.perf_counter()
    session = repo.writable_session("main")
    group = zarr.group(session.store)
    names = ["time", "step", "number", "latitude", "longitude"]
    for name, length in zip(names, shape):
        array = group.create_array(name, shape=(length,), chunks=(length,), dtype="float64", dimension_names=[name])
        array[:] = numpy.arange(length)
    chunks = [1] * (len(shape) - 2) + shape[-2:]
    for number in range(variables):
        group.create_array(
            f"v{number}", shape=shape, chunks=chunks, dtype="float32", fill_value=float("nan"), dimension_names=names
        )
    session.commit("init")
    return {"seconds": time.perf_counter() - start}


def ingest(repository, prefix, files):
    """Files to virtual references: parsed by their indexes, concatenated along time, written and committed."""
    start = time.perf_counter()
    repo = create(repository, prefix)
    registry = ObjectStoreRegistry({"file://": LocalStore()})
    parser = GribberishParser(use_index="auto")
    trees = [virtualizarr.open_virtual_datatree(f"file://{file}", registry=registry, parser=parser) for file in files]
    groups = {}
    for tree in trees:
        for node in tree.subtree:
            if node.data_vars:
                groups.setdefault(node.path, []).append(node.to_dataset(inherit=False))
    parsed = time.perf_counter()
    session = repo.writable_session("main")
    references = 0
    for path, datasets in groups.items():
        dataset = datasets[0]
        if len(datasets) > 1:
            dataset = xarray.concat(
                datasets, dim="time", coords="minimal", compat="override", join="override", combine_attrs="override"
            )
        references += sum(v.sizes["time"] * v.sizes.get("number", 1) for v in dataset.data_vars.values())
        dataset.vz.to_icechunk(session.store, group=path)
    session.commit("ingest")
    end = time.perf_counter()
    return {"seconds": end - start, "parse": parsed - start, "write": end - parsed, "references": references}


def read(repository, prefix, array, threads):
    """All values of one array of such a repository, through zarr-python and gribberish's codec."""
    import gribberish.zarr.codec  # registers the codec

    storage = icechunk.local_filesystem_storage(repository)
    repo = icechunk.Repository.open(storage, authorize_virtual_chunk_access={f"file://{prefix}/": None})
    store = repo.readonly_session("main").store
    with zarr.config.set({"threading.max_workers": threads}):
        start = time.perf_counter()
        values = zarr.open_array(store, path=array, mode="r")[...]
        seconds = time.perf_counter() - start
    assert numpy.isfinite(values).all(), "values are missing"
    return {"seconds": seconds, "values": values.size}


def references(repository, prefix, files, steps, members, levels):
    """Indexes by json, each array's references by one call, one commit."""
    import json
    import pathlib

    repo = create(repository, prefix)
    session = repo.writable_session("main")
    group = zarr.group(session.store)
    lines = [json.loads(line) for line in pathlib.Path(files[0]).with_suffix(".index").read_text().splitlines()]
    upper = {line["param"]: line["levtype"] == "pl" for line in lines}
    number_of_level = {str(level): number for number, level in enumerate(levels)}
    for name, has_levels in upper.items():
        shape = [len(steps), members] + ([len(levels)] if has_levels else []) + [721, 1440]
        chunks = [1] * (len(shape) - 2) + [721, 1440]
        group.create_array(name, shape=shape, chunks=chunks, dtype="float32", fill_value=float("nan"))
    session.commit("init")
    start = time.perf_counter()
    session = repo.writable_session("main")
    count = {name: members * (len(levels) if has_levels else 1) for name, has_levels in upper.items()}
    locations = {name: [""] * (len(steps) * n) for name, n in count.items()}
    offsets = {name: numpy.zeros(len(steps) * n, numpy.uint64) for name, n in count.items()}
    lengths = {name: numpy.zeros(len(steps) * n, numpy.uint64) for name, n in count.items()}
    for step, file in enumerate(files):
        url = f"file://{file}"
        for text in pathlib.Path(file).with_suffix(".index").open():
            line = json.loads(text)
            name = line["param"]
            slot = step * members + int(line["number"]) - 1
            if upper[name]:
                slot = slot * len(levels) + number_of_level[line["levelist"]]
            locations[name][slot] = url
            offsets[name][slot] = line["_offset"]
            lengths[name][slot] = line["_length"]
    for name, has_levels in upper.items():
        grid = (len(steps), members, len(levels), 1, 1) if has_levels else (len(steps), members, 1, 1)
        session.store.set_virtual_refs_arr(f"/{name}", grid, locations[name], offsets[name], lengths[name])
    session.commit("references")
    return {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    versions = f"icechunk {icechunk.__version__}, zarr {zarr.__version__}, virtualizarr {virtualizarr.__version__}"
    peer.serve(versions, {"init": init, "ingest": ingest, "read": read, "references": references})
