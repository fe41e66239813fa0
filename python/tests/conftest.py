"""Fixtures: a small ensemble run, ingested; and what ecCodes says of it."""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil

import numpy as np
import pytest

import gribchunk

FIXTURES = pathlib.Path(__file__).parents[2] / "fixtures"
RUN = "20261121000000-{}h-enfo-ef.grib2"
NAMES = {"2t": "t2m", "10u": "u10", "10v": "v10"}


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    """What this user allowed is not touched, and does not help."""
    monkeypatch.setenv("GRIBCHUNK_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("GRIBCHUNK_ALLOW", raising=False)


@pytest.fixture
def run(tmp_path):
    """A copy of the files of the run."""
    return pathlib.Path(shutil.copytree(FIXTURES / "ens", tmp_path / "run"))


@pytest.fixture
def empty(tmp_path, run):
    """A repository with a cube for the run, nothing ingested."""
    return gribchunk.create(tmp_path / "repository", sources=[run])


@pytest.fixture
def repository(empty, run):
    """The run, ingested: `msl` materialised, the rest virtual."""
    report = empty.ingest([run], materialise="variable=msl")
    assert report.is_complete, report
    return empty


class Expected:
    """The fields of the run and the hashes of ecCodes' values."""

    def __init__(self):
        self.fields = []
        for step in (0, 3, 6):
            text = (FIXTURES / "ens" / f"{RUN.format(step)}.expected.json").read_text()
            self.fields += json.loads(text)["field"]

    @staticmethod
    def indexers(field):
        """Variable and index labels of a field."""
        labels = {
            "time": np.datetime64("2026-11-21T00"),
            "step": np.timedelta64(field["endStep"], "h"),
            "number": field.get("number", 0),
        }
        if field["typeOfLevel"] == "isobaricInhPa":
            labels["isobaricInhPa"] = field["level"]
        return NAMES.get(field["shortName"], field["shortName"]), labels

    def disagreeing(self, values_of):
        """Fields for which `values_of(variable, labels)` gives other values than ecCodes."""
        wrong = []
        for field in self.fields:
            variable, labels = self.indexers(field)
            if sha256(values_of(variable, labels)) != field["values"]["sha256_f32le"]:
                wrong.append((variable, labels))
        return wrong


def sha256(values):
    values = np.ascontiguousarray(values, "<f4")
    bits = values.view("<u4").copy()
    bits[np.isnan(values)] = 0x7FC00000
    return hashlib.sha256(bits.tobytes()).hexdigest()


@pytest.fixture(scope="session")
def expected():
    found = Expected()
    assert len(found.fields) == 104
    return found


# What tests of other projects may run into here, and why.
REFUSED_BY_DESIGN = {
    "this store has only zarr.json and chunks": "as in Icechunk, only keys of a Zarr v3 hierarchy exist",
    "write its metadata first": "as in Icechunk, chunks belong to an array that is there",
    "zarr.json is not JSON": "as in Icechunk, zarr.json must be metadata",
    "cannot go to another process": "uncommitted changes do not pickle",
    "_ARRAY_DIMENSIONS": "Zarr v3 has no hidden keys",
}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        return (yield)
    except Exception as error:
        if item.get_closest_marker("conformance"):
            for text, reason in REFUSED_BY_DESIGN.items():
                if text in str(error):
                    pytest.xfail(reason)
        raise
