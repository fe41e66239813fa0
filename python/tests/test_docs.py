"""The pages and examples of the documentation run."""

import re
import subprocess
import sys

import pytest
import xarray as xr
from conftest import FIXTURES

import gribchunk
from gribchunk.coverage import STATES

PACKAGE = FIXTURES.parent / "python"
PAGES = [
    "README.md",
    "python/README.md",
    *sorted(f"python/docs/{page.name}" for page in (PACKAGE / "docs").glob("*.md")),
]


def test_all_pages_are_there():
    assert len(PAGES) == 8


@pytest.mark.parametrize("page", PAGES)
def test_page(page, monkeypatch, tmp_path):
    """The blocks of a page, one after the other; those marked `no-run` name places that are not there."""
    (tmp_path / "fixtures").symlink_to(FIXTURES)
    monkeypatch.chdir(tmp_path)
    text = (FIXTURES.parent / page).read_text()
    blocks = list(re.finditer(r"```python\n(.*?)```", text, re.DOTALL))
    assert blocks
    names = {"__name__": "page"}
    for block in blocks:
        # Line numbers of the page in tracebacks.
        code = "\n" * text[: block.start()].count("\n") + "\n" + block[1]
        exec(compile(code, page, "exec"), names)


def run(example, *arguments):
    command = [sys.executable, str(PACKAGE / "examples" / example), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_map_and_coverage(tmp_path):
    said = run("map_and_coverage.py", *(FIXTURES / "ens").glob("*.grib2"), "--output", tmp_path)
    assert "% of the members" in said
    for picture in ("map.png", "coverage.png"):
        assert (tmp_path / picture).stat().st_size > 5000


def test_materialise_on_a_cluster(repository):
    assert "12 fields stored" in run("materialise_on_a_cluster.py", repository.location, "t2m")
    assert (repository.coverage("variable=t2m").t2m == STATES["materialised"]).all()
    assert xr.open_dataset(repository, engine="gribchunk").t2m.notnull().all()
    assert gribchunk.open(repository.location).log()[0].message == "materialise on a cluster"
