"""Materialises a run with the workers of a dask cluster, in one commit.

python materialise_on_a_cluster.py REPOSITORY [VARIABLE...]
"""

import sys

import distributed

import gribchunk


def materialise(fork, select):
    """What a worker does: decodes a part of the run, stores the chunks, and returns their references."""
    fork.materialise(select)
    return fork


def main(location, *variables):
    repository = gribchunk.open(location)
    coverage = repository.coverage()
    parts = [
        {"variable": name, "step": step}
        for name in variables or coverage.data_vars
        for step in coverage[name].step.values
    ]
    with (
        distributed.LocalCluster(n_workers=2, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        repository.transaction(message="materialise on a cluster") as transaction,
    ):
        # All parts begin with the same state.
        futures = client.map(materialise, [transaction.fork() for _ in parts], parts, pure=False)
        stored = transaction.merge(*client.gather(futures))
    print(f"{stored} fields stored in snapshot {transaction.snapshot_id}")


if __name__ == "__main__":
    main(*sys.argv[1:])
