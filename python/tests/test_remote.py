"""Sources behind URLs: a server of plain HTTP with ranges and dates."""

import functools
import http.server
import pickle
import re
import threading

import numpy as np
import pytest
import xarray as xr
from conftest import FIXTURES, RUN

import gribchunk


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a directory, and parts of them."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return super().do_GET()
        with open(self.translate_path(self.path), "rb") as file:
            data = file.read()
        start, end = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end}/{len(data)}")
        self.send_header("Content-Length", str(end + 1 - start))
        self.send_header("Last-Modified", "Sat, 21 Nov 2026 08:00:00 GMT")
        self.end_headers()
        self.wfile.write(data[start : end + 1])
        return None

    def date_time_string(self, timestamp=None):
        return super().date_time_string(timestamp) if timestamp is None else "Sat, 21 Nov 2026 08:00:00 GMT"


@pytest.fixture
def server():
    handler = functools.partial(Handler, directory=str(FIXTURES / "ens"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def urls(server):
    return [server + RUN.format(step) for step in (0, 3, 6)]


def test_without_a_repository(server, expected):
    dataset = gribchunk.open_index(urls(server))
    assert expected.disagreeing(lambda variable, labels: dataset[variable].sel(labels).values) == []


def test_a_repository_of_remote_files(server, tmp_path, expected):
    repository = gribchunk.create(tmp_path / "remote", sources=urls(server))
    report = repository.ingest(urls(server))
    assert report.is_complete, report
    dataset = xr.open_dataset(repository.location, engine="gribchunk")
    assert expected.disagreeing(lambda variable, labels: dataset[variable].sel(labels).values) == []


def test_a_file_that_is_not_there(server, tmp_path):
    with pytest.raises(gribchunk.NotFoundError, match="9h-enfo-ef"):
        gribchunk.create(tmp_path / "remote", sources=[server + RUN.format(9)])
    assert not (tmp_path / "remote").exists()


def test_credentials_do_not_pickle(repository):
    options = {"endpoint": "http://localhost:9000", "secret_access_key": "hush", "region": "eu-central-1"}
    opened = gribchunk.open(repository.location, storage_options=options, anonymous="s3://open/")
    snapshot = opened.snapshot()
    for one in (opened, snapshot, snapshot.store, xr.open_dataset(snapshot, engine="gribchunk")):
        text = pickle.dumps(one)
        assert b"hush" not in text
        assert b"localhost:9000" in text
        assert b"s3://open/" in text
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(snapshot)).read("t2m"), snapshot.read("t2m"))


def test_a_storage_option_that_means_nothing(repository):
    with pytest.raises(ValueError, match="stall_timeout"):
        gribchunk.open(repository.location, storage_options={"stall_timeout": "soon"})
