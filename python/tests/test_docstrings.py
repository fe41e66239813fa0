"""The examples of docstrings and of the README run as they are, from the repository's root."""

import doctest
import importlib
import pkgutil
import re

import pytest

import gribchunk

from conftest import FIXTURES

MODULES = sorted(
    name for _, name, _ in pkgutil.iter_modules(gribchunk.__path__, "gribchunk.") if not name.endswith("__main__")
)


@pytest.mark.parametrize("name", ["gribchunk", *MODULES])
def test_docstrings(name, monkeypatch):
    monkeypatch.chdir(FIXTURES.parent)
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_readme(monkeypatch, tmp_path, capsys):
    (tmp_path / "fixtures").symlink_to(FIXTURES)
    monkeypatch.chdir(tmp_path)
    readme = (FIXTURES.parent / "python" / "README.md").read_text()
    names = {}
    for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL):
        exec(block, names)
    assert "104 fields of 3 files placed" in capsys.readouterr().out
