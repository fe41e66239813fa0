"""The examples of docstrings run as they are, from the repository's root."""

import doctest
import importlib
import pkgutil

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
