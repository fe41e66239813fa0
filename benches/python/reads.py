"""Reads through xarray: gribchunk's engine beside icechunk-python with gribberish's codec, same files, one run.

    python benches/python/reads.py MESSAGES.grib2 [--repeat 5] [--out DIRECTORY]

MESSAGES.grib2 holds one variable, one step and many members (the figures are for 80 CCSDS messages of 0.25 degree).
Needs a release wheel of gribchunk, and icechunk, gribberish, virtualizarr. Each side runs in processes of its own,
pinned to as many processors as it may use; files are in the page cache.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

SIDES = ("peer", "ours")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("messages", type=pathlib.Path)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, help="where repositories are made (a temporary directory)")
    arguments = parser.parse_args()
    file = arguments.messages.resolve()
    file.read_bytes()
    with tempfile.TemporaryDirectory() as directory:
        out = arguments.out or pathlib.Path(directory)
        for side in SIDES:
            child("prepare", side, file, out)
        result = {side: child("measure", side, file, out, arguments.repeat, processors=2) for side in SIDES}
        single = {side: child("whole", side, file, out, arguments.repeat, processors=1) for side in SIDES}
        memory = {side: child("memory", side, file, out, processors=2) for side in SIDES}
        chunks = {side: child("chunks", side, file, out, arguments.repeat, processors=2) for side in (*SIDES, "engine")}

    print(f"\n{'':44}{'icechunk + gribberish':>22}{'gribchunk':>12}{'ratio':>9}{'wanted':>9}")
    for name, wanted in WANTED.items():
        row(name, result["peer"][name], result["ours"][name], wanted)
    speedup = {side: single[side]["whole"] / result[side]["whole variable"] for side in SIDES}
    print(
        f"{'1 -> 2 processors, whole variable':44}{speedup['peer']:>20.2f} x{speedup['ours']:>10.2f} x{'':9}{'1.7':>9}"
    )
    row("1,000 small chunks, arr[:] of the store", chunks["peer"]["chunks"], chunks["ours"]["chunks"], 3)
    row("1,000 small chunks, the engine", chunks["peer"]["chunks"], chunks["engine"]["chunks"], 10)
    peak = {side: memory[side]["peak"] for side in SIDES}
    ratios = f"{peak['peer']:>20.2f} x{peak['ours']:>10.2f} x"
    print(f"{'peak memory of the whole variable / result':44}{ratios}{'':9}{'< 1.3':>9}")
    same = result["peer"]["mean"], result["ours"]["mean"]
    assert abs(same[0] - same[1]) < 1e-4 * abs(same[0]), f"the two read different values: {same}"


WANTED = {
    "open dataset": 3,
    "one field": 4,
    "box of 10 x 10, first": 4,
    "box of 10 x 10, again": 30,
    "point through all, first": 8,
    "point through all, again": 60,
    "whole variable": 5,
}


def row(name, peer, ours, wanted):
    print(f"{name:44}{peer * 1e3:>19.2f} ms{ours * 1e3:>9.2f} ms{peer / ours:>7.1f} x{wanted:>7} x")


def child(what, side, file, out, repeat=1, processors=2):
    command = [sys.executable, __file__, "--child", what, side, str(file), str(out), str(repeat)]
    environment = os.environ | {"GRIBCHUNK_STATE": str(out / "state")}
    allowed = sorted(os.sched_getaffinity(0))[:processors]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        env=environment,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )
    return json.loads(done.stdout.splitlines()[-1])


# In a process of its own


def prepare(side, file, out):
    import numpy as np
    import xarray as xr

    small = xr.Dataset({"x": (("a", "b", "c"), np.random.default_rng(1).random((1000, 10, 10), "float32"))})
    encoding = {"x": {"chunks": (1, 10, 10)}}
    if side == "ours":
        import gribchunk

        repository = gribchunk.create(out / "ours", sources=[file])
        report = repository.ingest([file])
        assert report.is_complete, report
        with gribchunk.create(out / "ours-small").transaction() as transaction:
            small.to_zarr(transaction.store, encoding=encoding, consolidated=False)
        return {}
    import icechunk
    import virtualizarr
    from gribberish.virtualizarr import GribberishParser
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import LocalStore

    repository = peer_repository(file, out, make=True)
    registry = ObjectStoreRegistry({"file://": LocalStore()})
    tree = virtualizarr.open_virtual_datatree(
        f"file://{file}", registry=registry, parser=GribberishParser(use_index="auto")
    )
    session = repository.writable_session("main")
    for node in tree.subtree:
        if node.data_vars:
            node.to_dataset(inherit=False).vz.to_icechunk(session.store, group=node.path)
    session.commit("virtual")
    plain = icechunk.Repository.create(icechunk.local_filesystem_storage(str(out / "peer-small")))
    session = plain.writable_session("main")
    small.to_zarr(session.store, encoding=encoding, consolidated=False)
    session.commit("small chunks")
    return {}


def peer_repository(file, out, make=False):
    import icechunk

    storage = icechunk.local_filesystem_storage(str(out / "peer"))
    container = f"file://{file.parent}/"
    access = icechunk.containers_credentials({container: icechunk.credentials.LocalFileSystemAccess})
    if not make:
        return icechunk.Repository.open(storage, authorize_virtual_chunk_access=access)
    config = icechunk.RepositoryConfig.default()
    virtual = icechunk.local_filesystem_store(str(file.parent))
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(container, virtual))
    repository = icechunk.Repository.create(storage, config=config, authorize_virtual_chunk_access=access)
    repository.save_config()
    return repository


def opener(side, file, out):
    """A function that opens the dataset anew, with empty caches, and gives its variable."""
    import xarray as xr

    if side == "ours":

        def open_ours():
            return variable(xr.open_dataset(out / "ours", engine="gribchunk"))

        return open_ours
    import gribberish.zarr.codec  # noqa: F401 - registers the codec
    import zarr

    tree = zarr.open_group(peer_repository(file, out).readonly_session("main").store, mode="r")
    group = next(
        name.rpartition("/")[0] for name, array in tree.members(max_depth=None) if getattr(array, "ndim", 0) > 2
    )

    def open_peer():
        store = peer_repository(file, out).readonly_session("main").store
        return variable(xr.open_zarr(store, group=group, consolidated=False, chunks=None))

    return open_peer


def variable(dataset):
    (array,) = (array for array in dataset.data_vars.values() if array.ndim > 2)
    return array.squeeze([name for name in array.dims if name not in ("number", "latitude", "longitude")], drop=True)


def best(work, repeat):
    """Median seconds."""
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def first_and_again(open_one, work, repeat):
    first = []
    for _ in range(repeat):
        array = open_one()
        start = time.perf_counter()
        work(array)
        first.append(time.perf_counter() - start)
    return statistics.median(first), best(lambda: work(array), repeat)


def measure(side, file, out, repeat):
    open_one = opener(side, file, out)
    mean = float(open_one().isel(number=0).mean())
    box = {"number": 0, "latitude": slice(300, 310), "longitude": slice(500, 510)}
    box_first, box_again = first_and_again(open_one, lambda array: array.isel(box).values, repeat)
    point = {"latitude": 321, "longitude": 512}
    point_first, point_again = first_and_again(open_one, lambda array: array.isel(point).values, repeat)
    field, _ = first_and_again(open_one, lambda array: array.isel(number=3).values, repeat)
    whole, _ = first_and_again(open_one, lambda array: array.values, max(repeat // 2, 1))
    return {
        "open dataset": best(open_one, repeat * 2),
        "one field": field,
        "box of 10 x 10, first": box_first,
        "box of 10 x 10, again": box_again,
        "point through all, first": point_first,
        "point through all, again": point_again,
        "whole variable": whole,
        "mean": mean,
    }


def whole(side, file, out, repeat):
    seconds, _ = first_and_again(opener(side, file, out), lambda array: array.values, max(repeat // 2, 1))
    return {"whole": seconds}


def memory(side, file, out, _repeat):
    array = opener(side, file, out)()
    _ = array.isel(number=0, latitude=0).values
    before = status("VmRSS")
    values = array.values
    return {"peak": (status("VmHWM") - before) / values.nbytes}


def status(name):
    """Bytes from /proc/self/status."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def chunks(side, _file, out, repeat):
    """1,000 materialised chunks of 10 x 10."""
    if side == "engine":
        import xarray as xr

        return {
            "chunks": first_and_again(
                lambda: xr.open_dataset(out / "ours-small", engine="gribchunk").x, lambda x: x.values, repeat
            )[0]
        }
    import zarr

    if side == "ours":
        import gribchunk

        store = gribchunk.open(out / "ours-small").snapshot().store
    else:
        import icechunk

        storage = icechunk.local_filesystem_storage(str(out / "peer-small"))
        store = icechunk.Repository.open(storage).readonly_session("main").store
    array = zarr.open_array(store, path="x", mode="r")
    return {"chunks": best(lambda: array[:], repeat)}


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    if sys.argv[1:2] == ["--child"]:
        _, _, what, side, file, out, repeat = sys.argv
        work = {
            "prepare": lambda *a: prepare(*a[:3]),
            "measure": measure,
            "whole": whole,
            "memory": memory,
            "chunks": chunks,
        }
        print(json.dumps(work[what](side, pathlib.Path(file), pathlib.Path(out), int(repeat))))
    else:
        main()
