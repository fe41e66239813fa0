"""Repositories: create, ingest, materialise, inspect, errors, processes."""

import datetime
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import FIXTURES

import gribchunk
from gribchunk.coverage import STATES


def test_a_pinned_snapshot_does_not_change(empty, run):
    pinned = empty.snapshot()
    store = pinned.store
    empty.ingest([run])
    assert np.isnan(pinned.read("t2m")).all()
    assert store.get_sync("t2m/c/0/0/0/0/0") is None
    assert np.isfinite(empty.snapshot().read("t2m")).all()


def test_one_file_one_commit(empty, run):
    report = empty.ingest([run], commit_each=True)
    assert (report.placed, len(report.snapshots), report.refused) == (104, 3, 0)
    again = empty.ingest([run])
    assert again.snapshots == [] and all(file.unchanged for file in again.files)
    assert [entry.id for entry in empty.log()][:3] == report.snapshots[::-1]


def test_allocate(repository):
    assert repository.allocate(["2026112106", np.datetime64("2026-11-21T12")]).times == 2
    assert repository.allocate(datetime.datetime(2026, 11, 21, 6, tzinfo=datetime.UTC)).snapshot is None
    values = repository.snapshot().read("t2m")
    assert np.isfinite(values[0]).all() and np.isnan(values[1:]).all()


def test_create_with_other_dimensions(tmp_path, run):
    repo = gribchunk.create(
        tmp_path / "other",
        run,
        times=["2026112200"],
        steps=[0, 6, datetime.timedelta(hours=12)],
        members=range(3),
        select={"variable": ["t2m", "tp"]},
    )
    assert repo.snapshot().infos["t2m"].shape == (1, 3, 3, 19, 36)
    assert "msl" not in repo.snapshot().arrays()


def test_materialise(repository):
    before = repository.snapshot().read("t2m")
    report = repository.materialise("variable=t2m,step=3")
    assert (report.materialised, report.failed) == (4, [])
    states = repository.coverage("variable=t2m").t2m
    assert list(states.isel(time=0, number=0)) == [STATES["virtual"], STATES["materialised"], STATES["virtual"]]
    np.testing.assert_array_equal(repository.snapshot().read("t2m"), before)


def test_coverage(empty, run):
    empty.ingest([run / "20261121000000-3h-enfo-ef.grib2"], materialise="variable=msl")
    coverage = empty.coverage()
    assert list(coverage.tp.isel(time=0, number=0)) == [
        STATES[state] for state in ("notExpected", "virtual", "missing")
    ]
    assert coverage.msl.sel(step=np.timedelta64(3, "h")).values.tolist() == [[STATES["materialised"]] * 4]
    assert coverage.t.sizes == {"time": 1, "step": 3, "number": 4, "isobaricInhPa": 2}
    assert coverage.attrs["missing"] == 104 - 36
    assert coverage.t2m.attrs["flag_meanings"].split()[2] == "virtual"


def test_failures(empty, run):
    broken = run / "broken.grib2"
    broken.write_bytes((FIXTURES / "broken" / "truncated_tail.grib2").read_bytes())
    report = empty.ingest([broken])
    assert report.placed == 2 and not report.is_complete
    assert "broken.grib2" in empty.failures()[0]["url"]
    assert "broken.grib2" in str(report)


def test_snapshots_by_time_and_id(repository, run):
    ids = [entry.id for entry in repository.log()]
    assert repository.snapshot(ids[1]).id == ids[1]
    assert repository.snapshot(datetime.datetime.now(datetime.UTC)).id == ids[0]
    with pytest.raises(KeyError, match="nothing-like-it"):
        repository.snapshot("nothing-like-it")


def test_selections(repository):
    snapshot = repository.snapshot()
    values = snapshot.read("t2m", {"step": slice(3, 6), "number": [1, 3], "latitude": slice(10, -10)})
    np.testing.assert_array_equal(values, snapshot.read("t2m")[:, 1:, 1::2, 8:11])
    with pytest.raises(ValueError, match="nonsense"):
        snapshot.read("t2m", "nonsense=1")
    with pytest.raises(KeyError, match="t2"):
        snapshot.read("t2")


def test_errors(tmp_path, repository, run):
    with pytest.raises(FileNotFoundError):
        gribchunk.open(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        gribchunk.create(repository.location, run)
    with pytest.raises(ValueError):
        gribchunk.open("s3://bucket/repository")
    with pytest.raises(gribchunk.NotFoundError):
        repository.ingest([tmp_path / "nothing.grib2"])
    with pytest.raises(ValueError, match="on_conflict"):
        repository.ingest([run], on_conflict="perhaps")
    assert all(
        issubclass(getattr(gribchunk.errors, name), (gribchunk.Error, UserWarning)) for name in gribchunk.errors.__all__
    )


def test_a_source_that_changed(repository, run):
    victim = run / "20261121000000-0h-enfo-ef.grib2"
    data = bytearray(victim.read_bytes())
    victim.write_bytes(data[:-1] + b"8")
    with pytest.raises(gribchunk.SourceChangedError, match="0h-enfo-ef.grib2"):
        repository.snapshot().read("t2m", "step=0")
    with pytest.raises(gribchunk.SourceChangedError, match="0h-enfo-ef.grib2"):
        repository.snapshot().store.get_sync("t2m/c/0/0/0/0/0")
    assert np.isfinite(repository.snapshot().read("t2m", "step=3")).all()


def test_a_place_that_is_not_allowed(repository, run, monkeypatch, tmp_path):
    monkeypatch.setenv("GRIBCHUNK_STATE", str(tmp_path / "another user"))
    with pytest.raises(PermissionError):
        gribchunk.open(repository.location).snapshot().read("t2m")
    assert np.isfinite(gribchunk.open(repository.location, allow=[str(run)]).snapshot().read("t2m")).all()


def test_pickle(repository):
    snapshot = repository.snapshot()
    again = pickle.loads(pickle.dumps(snapshot))
    assert again.id == snapshot.id
    np.testing.assert_array_equal(again.read("t2m"), snapshot.read("t2m"))
    assert pickle.loads(pickle.dumps(snapshot.store)) == snapshot.store
    assert pickle.loads(pickle.dumps(repository)).location == repository.location


def read_mean(snapshot):
    return float(np.nanmean(snapshot.read("t2m")))


def test_processes(repository):
    snapshot = repository.snapshot()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        means = pool.map(read_mean, [snapshot] * 4)
    assert means == [read_mean(snapshot)] * 4


def read_error(snapshot, queue):
    try:
        read_mean(snapshot)
    except Exception as error:
        queue.put((type(error).__name__, str(error)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_after_threads_is_refused(repository):
    snapshot = repository.snapshot()
    snapshot.read("t2m")
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=read_error, args=(snapshot, queue))
    child.start()
    name, message = queue.get(timeout=20)
    child.join()
    assert name == "ForkError" and "spawn" in message


def test_threads(repository):
    snapshot = repository.snapshot()
    wanted = snapshot.read("t")
    wrong = []

    def read():
        for _ in range(20):
            if not np.array_equal(snapshot.read("t"), wanted):
                wrong.append(1)

    threads = [threading.Thread(target=read) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong


def test_ctrl_c(repository):
    """One read that would take minutes (every field a million times) is left within a second."""
    script = f"""
import gribchunk, numpy as np
snapshot = gribchunk.open({repository.location!r}, cache_bytes=0).snapshot()
many = np.zeros(3000, "uint64")
print("start", flush=True)
snapshot._inner.read_outer("t2m", [many[:1], many, many, many[:1], many[:1]])
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "start\n", process.stderr.read()
        time.sleep(0.5)
        assert process.poll() is None, "it is still reading"
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert "KeyboardInterrupt" in errors
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("command", [[sys.executable, "-m", "gribchunk"], ["gribchunk"]])
def test_the_command(command, repository):
    if command == ["gribchunk"]:
        command = [os.path.join(os.path.dirname(sys.executable), "gribchunk")]
    shown = subprocess.run([*command, "show", repository.location], capture_output=True, text=True, check=True)
    assert "t2m" in shown.stdout and "104 expected slots" in shown.stdout
    assert "Usage" in subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    failed = subprocess.run([*command, "show", "/nowhere"], capture_output=True, text=True, check=False)
    assert failed.returncode == 1 and "/nowhere" in failed.stderr
