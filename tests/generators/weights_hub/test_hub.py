"""Weights from a real server on the loopback, through the Hub's real client."""

import errno
import hashlib
import socket
from pathlib import Path

import forked
import pytest
from fixtures import tiny_generator
from hub_client import CLOSED, NAME, fails, files_in
from hub_server import PAGE, Fault
from huggingface_hub import constants, file_download

from generators import download, hub, weights
from generators.license import read_license


def test_first_download_and_a_hit_that_asks_nobody(server, content):
    stated = []
    record = hub.obtain(NAME, notice=stated.append)
    assert record.file.read_bytes() == content
    assert record.sha256 == record.original == hashlib.sha256(content).hexdigest()
    assert record.revision == server.first and server.first in record.source
    assert record.license == read_license("apache-2.0") and stated == [record.license]
    assert [seen.sent for seen in server.asked("GET", "/resolve/")] == [len(content)]
    asked = len(server.log)
    assert hub.fetch(NAME) == record.file and len(server.log) == asked
    assert weights.load(record.file)[1]["data"] == "digits"


def test_a_hit_without_network_or_server(server, content, monkeypatch):
    path = hub.fetch(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was resolved"))
    assert hub.fetch(NAME) == path and path.read_bytes() == content


def test_offline_with_nothing_here_says_what_to_run(server, monkeypatch, catalogd):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    fails(NAME, f"run `glad weights pull {NAME}` where there is a network")
    fails(catalogd(at_hub=None), "run `glad weights pull tiny` where there is a network")
    assert not server.log


def test_the_environment_reaches_the_client(server, tmp_path):
    """In processes of their own: HF_ENDPOINT and HF_HOME for the download, HF_HUB_OFFLINE for the second time."""

    def fetch(**environ):
        environ = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", **environ}
        done = forked.run(f"from generators import hub; print(hub.fetch({NAME!r}))", **environ)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return done.stdout

    first = fetch(HF_ENDPOINT=server.address, HF_HUB_DISABLE_TELEMETRY="1")
    asked = len(server.log)
    assert Path(first.strip()).is_relative_to(tmp_path / "home" / "hub") and server.asked("GET", "/resolve/")
    assert fetch(HF_ENDPOINT=CLOSED, HF_HUB_OFFLINE="1") == first and len(server.log) == asked


def test_a_cut_connection_is_continued(server, content, waits):
    server.faults.append(Fault("GET", "/resolve/", cut=5000))
    assert hub.fetch(NAME).read_bytes() == content
    first, second = server.asked("GET", "/resolve/")
    start = int(second.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= first.sent == 5000 and second.sent == len(content) - start


def test_a_connection_that_is_cut_again_and_again(server, waits):
    server.faults.append(Fault("GET", "/resolve/", cut=0, times=99))
    fails(NAME, NAME, "broke off")
    assert len(server.asked("GET", "/resolve/")) < 20


def test_revisions_are_pinned(server, content, tmp_path):
    weights.save(tmp_path / "other.safetensors", tiny_generator(seed=1))
    newer = (tmp_path / "other.safetensors").read_bytes()
    second = server.commit("org/repo", {"g.safetensors": newer})
    assert hub.fetch(f"{NAME}@{server.first}").read_bytes() == content
    record = hub.obtain(NAME)
    assert record.file.read_bytes() == newer and record.revision == second
    assert hub.obtain(f"{NAME}@{server.first}").revision == server.first


@pytest.mark.parametrize("at_hub", [True, False])
def test_a_wrong_checksum_is_refused_and_deleted(catalogd, tmp_path, content, at_hub):
    name = catalogd(at_hub="org/repo:g.safetensors" if at_hub else None, sha256="0" * 64)
    fails(name, hashlib.sha256(content).hexdigest(), "0" * 64, "not used and has been deleted")
    assert not files_in(tmp_path / "cache")
    assert not [path for path in files_in(tmp_path / "hf") if "blobs" in path.parts or "snapshots" in path.parts]
    assert hub.fetch(catalogd(sha256=hashlib.sha256(content).hexdigest())).read_bytes() == content


def test_bytes_that_changed_on_the_way_are_refused(server, content, tmp_path):
    server.faults.append(Fault("GET", "/resolve/", replace=content[:-1] + bytes([content[-1] ^ 1])))
    fails(NAME, "not used and has been deleted", "as the Hub says")
    assert hub.fetch(NAME).read_bytes() == content


def test_a_private_repository_needs_a_token(server, content, monkeypatch, catalogd):
    server.private.add("org/repo")
    for name in (NAME, catalogd(url=None)):
        fails(name, "org/repo", "401", "hf auth login", "HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN", server.token)
    assert hub.fetch(NAME).read_bytes() == content


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("org/none:g.safetensors", "no such repository (404)"),
        ("org/repo:none.safetensors", "no such file (404)"),
        (f"{NAME}@v9", "no such revision (404)"),
    ],
)
def test_what_is_not_there_is_named(server, name, what):
    assert server.address in fails(name, name, what)


def test_forbidden_and_broken_servers(server, catalogd, waits):
    name = catalogd(url=None)
    server.faults.append(Fault("HEAD", "/resolve/", status=403))
    fails(name, "403", "accept the conditions")
    server.faults.append(Fault("HEAD", "/resolve/", status=503, times=99))
    fails(name, "the Hub answers 503")
    assert len(server.log) < 20


def test_too_many_requests_are_waited_for(server, content, waits):
    server.faults.append(Fault("HEAD", "/resolve/", status=429, times=2, headers={"Retry-After": "7"}))
    assert hub.fetch(NAME).read_bytes() == content
    assert waits and min(waits) >= 7


def test_too_many_requests_for_ever(server, waits):
    server.faults.append(Fault("HEAD", "/resolve/", status=429, times=99, headers={"Retry-After": "3"}))
    fails(NAME, "429", "wait 3 s")
    assert len(server.asked("HEAD")) < 20


def test_a_proxys_page_is_no_weights(server, catalogd, content, tmp_path, waits):
    same_size = PAGE + b" " * (len(content) - len(PAGE))
    for fault in (
        Fault("HEAD", "/resolve/", page=True),  # instead of every answer
        Fault("GET", "/resolve/", page=True),  # instead of the file
        Fault("GET", "/resolve/", replace=same_size),
    ):
        server.faults[:] = [fault, *([Fault("GET", "/resolve/", page=True)] if fault.method == "HEAD" else [])]
        fails(catalogd(url=None), "page", "proxy")
        assert not [path for path in files_in(tmp_path / "hf") if "snapshots" in path.parts]
    server.faults[:] = [Fault("GET", "/api/models/", status=200)]
    assert hub.fetch(catalogd(url=None)).read_bytes() == content


def test_a_name_that_cannot_be_resolved(server, monkeypatch, waits, catalogd):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    fails(NAME, "cannot be resolved", "is there a network?")
    fails(catalogd(at_hub=None), "cannot be resolved", "is there a network?")


def test_a_server_that_says_nothing(server, monkeypatch, waits, catalogd):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    server.faults += [Fault("GET", "/resolve/", stall=True, times=99), Fault("GET", "/official/", stall=True, times=99)]
    fails(NAME, "did not answer within 0.1 s", "HF_HUB_DOWNLOAD_TIMEOUT")
    fails(catalogd(at_hub=None), "broke off", "5 times in a row")
    assert len(server.log) < 30


def test_a_full_disk_is_named(server, monkeypatch, catalogd, tmp_path):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file_download, "http_get", full)
    monkeypatch.setattr(download, "_copy", full)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    fails(catalogd(), f"the disk of {tmp_path} is full")  # and the official address is not asked
    fails(catalogd(at_hub=None), f"the disk of {tmp_path / 'cache'} is full", "GLAD_WEIGHTS_CACHE")
    assert not server.asked("GET", "/resolve/")
