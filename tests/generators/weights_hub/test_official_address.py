"""Weights from the address of their authors, when the Hub does not have them."""

import email.utils
import time

import pytest
import torch
from errors import naming
from fixtures import tiny_generator
from hub_client import CLOSED, fails, files_in
from hub_server import PAGE, Fault

from generators import catalog, download, hub, official, store, weights
from generators.license import license_of, read_license


def test_the_official_address_when_the_hub_does_not_give_it(server, catalogd, content):
    name = catalogd(at_hub="org/none:g.safetensors")
    progress = []
    with pytest.warns(UserWarning, match=naming("tiny http")):
        record = hub.obtain(name, advance=lambda *at: progress.append(at))
    assert record.file.read_bytes() == content and record.source.endswith("/official/tiny.safetensors")
    assert progress[0] == (0, len(content)) and progress[-1] == (len(content), len(content))
    assert hub.obtain(name) == record
    assert {path.suffix for path in files_in(record.file.parent)} == {".safetensors", ".json"}


def test_neither_hub_nor_official_address(server, catalogd):
    name = catalogd(at_hub="org/none:g.safetensors", url="/official/gone.safetensors")
    with pytest.warns(UserWarning, match=naming("repository")):
        fails(name, "/official/gone.safetensors", "404", "no such file")


def test_an_official_download_is_continued_by_the_next_command(server, catalogd, content, waits, monkeypatch):
    name = catalogd(at_hub=None)
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    server.faults.append(Fault("GET", "/official/", cut=5000))
    fails(name, "5,000 of", "the same command continues it")
    assert hub.fetch(name).read_bytes() == content
    first, second = server.asked("GET", "/official/")
    assert "Range" not in first.headers and second.headers["Range"] == "bytes=5000-"
    assert second.sent == len(content) - 5000


def test_an_official_download_that_breaks_off_is_tried_again(server, catalogd, content, waits):
    server.faults.append(Fault("GET", "/official/", cut=2000, times=3))
    assert hub.fetch(catalogd(at_hub=None)).read_bytes() == content
    assert [seen.headers.get("Range") for seen in server.asked("GET")] == [
        None,
        "bytes=2000-",
        "bytes=4000-",
        "bytes=6000-",
    ]


def test_a_file_that_changed_meanwhile_is_not_continued(server, catalogd, content, waits, monkeypatch, tmp_path):
    name = catalogd(at_hub=None)
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    server.faults.append(Fault("GET", "/official/", cut=5000))
    fails(name, "broke off")
    weights.save(tmp_path / "other.safetensors", tiny_generator(seed=1))
    server.official["tiny.safetensors"] = (tmp_path / "other.safetensors").read_bytes()
    assert hub.fetch(name).read_bytes() == server.official["tiny.safetensors"] != content
    server.official["tiny.safetensors"] = content[:1000]  # shorter than what is there
    (tmp_path / "cache" / "short.part").write_bytes(content[:5000])
    (tmp_path / "cache" / "short.tag").write_text('"old"')
    monkeypatch.setattr(download, "ATTEMPTS", 3)
    download.download(f"{server.address}/official/tiny.safetensors", tmp_path / "cache" / "short")
    assert (tmp_path / "cache" / "short").read_bytes() == content[:1000]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_official_server_may_ask_to_wait(server, catalogd, content, waits, form):
    later = "9" if form == "seconds" else email.utils.formatdate(time.time() + 9, usegmt=True)
    server.faults.append(Fault("GET", "/official/", status=429, times=2, headers={"Retry-After": later}))
    assert hub.fetch(catalogd(at_hub=None)).read_bytes() == content
    assert len(waits) == 2 and all(7 < wait <= 9 for wait in waits)


@pytest.mark.parametrize(
    ("fault", "patterns"),
    [
        ({"status": 401}, ["401", "asks for a login"]),
        ({"status": 403}, ["403", "access is refused"]),
        ({"status": 429, "headers": {"Retry-After": "86400"}}, ["429", "asks to wait 86,400 s", "pull again later"]),
        ({"status": 500}, ["answers 500", "5 times in a row"]),
        ({"page": True}, ["web page in place of the weights", "HTTPS_PROXY"]),
        ({"replace": PAGE}, ["web page in place of the weights", "HTTPS_PROXY"]),
        ({"cut": 0}, ["broke off", "5 times in a row"]),
    ],
)
def test_the_official_server_may_refuse(server, catalogd, waits, tmp_path, fault, patterns):
    server.faults.append(Fault("GET", "/official/", times=99, **fault))
    fails(catalogd(at_hub=None), *patterns)
    assert len(server.log) <= download.ATTEMPTS
    assert not (tmp_path / "cache" / "tiny.safetensors").exists()


def test_a_closed_port(server, monkeypatch, waits):
    monkeypatch.setitem(
        catalog.CATALOG,
        "tiny",
        catalog.CatalogEntry(**{**vars(catalog.find("imagenet16")), "url": f"{CLOSED}/g.safetensors"}),
    )
    fails("tiny", "no connection", "refused")


def test_a_pickle_is_converted_and_not_kept(server, catalogd, tmp_path):
    torch.save(tiny_generator().state_dict(), tmp_path / "g.pkl")
    server.official["g.pkl"] = (tmp_path / "g.pkl").read_bytes()
    server.commit("org/repo", {"orig/g.pkl": server.official["g.pkl"]})
    for at_hub in (None, "org/repo:orig/g.pkl"):
        record = hub.obtain(catalogd(at_hub, "/official/g.pkl", official.sha256(tmp_path / "g.pkl")), again=True)
        network, metadata = weights.load(record.file)
        assert torch.equal(network.mapping.w_avg, tiny_generator().mapping.w_avg)
        assert record.original == metadata["source_sha256"] == official.sha256(tmp_path / "g.pkl")
        assert record.sha256 == official.sha256(record.file) and license_of(metadata) == read_license("mit")
        assert metadata["source"] == record.source
    assert {path.suffix for path in files_in(tmp_path / "cache")} == {".safetensors", ".json"}
    assert server.first not in record.source and "/blob/" in record.source


def test_a_pickle_that_is_no_generator_is_refused(server, catalogd, tmp_path):
    server.official["bad.pkl"] = b"\x80\x04cos\nsystem\n."
    with pytest.raises(weights.WeightsError, match=naming("readable generator")):
        hub.fetch(catalogd(None, "/official/bad.pkl"))
    assert store.read_record("tiny") is None
