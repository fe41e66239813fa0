"""The examples of docstrings and of the README run as they are, from the repository's root."""

import doctest
import importlib
import pkgutil
import re

import pytest
from conftest import FIXTURES

import gribchunk

MODULES = sorted(
    name for _, name, _ in pkgutil.iter_modules(gribchunk.__path__, "gribchunk.") if not name.endswith("__main__")
)


@pytest.mark.parametrize("name", ["gribchunk", *MODULES])
def test_docstrings(name, monkeypatch):
    monkeypatch.chdir(FIXTURES.parent)
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


@pytest.mark.parametrize("page", ["README.md", "python/README.md"])
def test_readme(page, monkeypatch, tmp_path):
    (tmp_path / "fixtures").symlink_to(FIXTURES)
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", (FIXTURES.parent / page).read_text(), re.DOTALL):
        exec(compile(block, page, "exec"), names)
    assert names["ds"].t2m.notnull().all()
