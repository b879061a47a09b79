"""Weights to and from a real server on the loopback, through the Hub's real client."""

import email.utils
import errno
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from fixtures import tiny_generator
from hub_server import PAGE, Fault, serving
from huggingface_hub import constants, file_download, utils
from safetensors.torch import load_file

import glad
from generators import catalog, download, hub, official, store, weights
from glad.cli import main
from glad.opening import open_prior
from glad.sources import load_data

ROOT = Path(__file__).parent.parent
NAME = "org/repo:g.safetensors"
CLOSED = "http://127.0.0.1:9"  # nothing listens there


@pytest.fixture
def content(tmp_path):
    weights.save(tmp_path / "made.safetensors", tiny_generator(), data="digits", steps="12")
    return (tmp_path / "made.safetensors").read_bytes()


@pytest.fixture
def server(tmp_path, monkeypatch, content):
    """The Hub with one repository, the client turned to it, and empty caches."""
    with serving() as (served, address):
        served.address = address
        served.first = served.commit("org/repo", {"g.safetensors": content})
        served.cards["org/repo"] = {"license": "apache-2.0"}
        served.official["tiny.safetensors"] = content
        point_client_to(monkeypatch, address, tmp_path)
        yield served
        getattr(utils, "close_session", getattr(utils, "reset_sessions", None))()  # by the client's version


def point_client_to(monkeypatch, address, tmp_path):
    """What the client reads from the environment when it is imported, and glad's own cache."""
    settings = {
        "ENDPOINT": address,
        "HUGGINGFACE_CO_URL_TEMPLATE": address + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(tmp_path / "hf" / "hub"),
        "HF_TOKEN_PATH": str(tmp_path / "token"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DOWNLOAD_TIMEOUT": 5,
        "DOWNLOAD_CHUNK_SIZE": 1000,
    }
    for name, value in settings.items():
        for module in (constants, file_download):  # older clients have copies
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("GLAD_WEIGHTS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def waits(monkeypatch):
    """Seconds that would have been slept."""
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.fixture
def catalogued(server, monkeypatch):
    """Put a generator called tiny into the catalogue, by default at both places."""

    def add(at_hub="org/repo:g.safetensors", url="/official/tiny.safetensors", sha256=None):
        entry = catalog.Entry(
            "tiny", 16, 3, "digits", catalog.read_licence("mit"), "these tests", "yes", at_hub, url, sha256
        )
        if url:
            entry = catalog.Entry(**{**vars(entry), "url": server.address + url})
        monkeypatch.setitem(catalog.CATALOG, "tiny", entry)
        return "tiny"

    return add


def fails(name, *patterns, **options):
    """The one line with which ``name`` cannot be had."""
    with pytest.raises(store.FetchError) as caught:
        hub.fetch(name, **options)
    line = str(caught.value)
    assert "\n" not in line
    for pattern in patterns:
        assert pattern in line, line
    return line


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".lock", ".TAG")]


# From the Hub


def test_first_download_and_a_hit_that_asks_nobody(server, content):
    told = []
    record = hub.obtain(NAME, notice=told.append)
    assert record.file.read_bytes() == content
    assert record.sha256 == record.original == hashlib.sha256(content).hexdigest()
    assert record.revision == server.first and server.first in record.source
    assert record.licence == "apache-2.0" and [licence.commercial for licence in told] == [True]
    assert [seen.sent for seen in server.asked("GET", "/resolve/")] == [len(content)]
    asked = len(server.log)
    assert hub.fetch(NAME) == record.file and len(server.log) == asked
    assert weights.load(record.file)[1]["data"] == "digits"


def test_a_hit_without_network_or_server(server, content, monkeypatch):
    path = hub.fetch(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was resolved"))
    assert hub.fetch(NAME) == path and path.read_bytes() == content


def test_offline_with_nothing_here_says_what_to_run(server, monkeypatch, catalogued):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    fails(NAME, f"run `glad weights pull {NAME}` where there is a network")
    fails(catalogued(at_hub=None), "run `glad weights pull tiny` where there is a network")
    assert not server.log


def test_the_environment_reaches_the_client(server, tmp_path):
    """In processes of their own: HF_ENDPOINT and HF_HOME for the download, HF_HUB_OFFLINE for the second time."""

    def fetch(**environ):
        environ = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", **environ}
        command = [sys.executable, "-W", "error", "-c", f"from generators import hub; print(hub.fetch({NAME!r}))"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ, timeout=120)
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
def test_a_wrong_checksum_is_refused_and_deleted(catalogued, tmp_path, content, at_hub):
    name = catalogued(at_hub="org/repo:g.safetensors" if at_hub else None, sha256="0" * 64)
    fails(name, hashlib.sha256(content).hexdigest(), "0" * 64, "not used and has been deleted")
    assert not files_in(tmp_path / "cache")
    assert not [path for path in files_in(tmp_path / "hf") if "blobs" in path.parts or "snapshots" in path.parts]
    assert hub.fetch(catalogued(sha256=hashlib.sha256(content).hexdigest())).read_bytes() == content


def test_bytes_that_changed_on_the_way_are_refused(server, content, tmp_path):
    server.faults.append(Fault("GET", "/resolve/", replace=content[:-1] + bytes([content[-1] ^ 1])))
    fails(NAME, "not used and has been deleted", "as the Hub says")
    assert hub.fetch(NAME).read_bytes() == content


def test_a_private_repository_needs_a_token(server, content, monkeypatch, catalogued):
    server.private.add("org/repo")
    for name in (NAME, catalogued(url=None)):
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


def test_forbidden_and_broken_servers(server, catalogued, waits):
    name = catalogued(url=None)
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


def test_a_proxys_page_is_no_weights(server, catalogued, content, tmp_path, waits):
    same_size = PAGE + b" " * (len(content) - len(PAGE))
    for fault in (
        Fault("HEAD", "/resolve/", page=True),  # instead of every answer
        Fault("GET", "/resolve/", page=True),  # instead of the file
        Fault("GET", "/resolve/", replace=same_size),
    ):
        server.faults[:] = [fault, *([Fault("GET", "/resolve/", page=True)] if fault.method == "HEAD" else [])]
        fails(catalogued(url=None), "page", "proxy")
        assert not [path for path in files_in(tmp_path / "hf") if "snapshots" in path.parts]
    server.faults[:] = [Fault("GET", "/api/models/", status=200)]
    assert hub.fetch(catalogued(url=None)).read_bytes() == content


def test_a_name_that_cannot_be_resolved(server, monkeypatch, waits, catalogued):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    fails(NAME, "cannot be resolved", "is there a network?")
    fails(catalogued(at_hub=None), "cannot be resolved", "is there a network?")


def test_a_server_that_says_nothing(server, monkeypatch, waits, catalogued):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    server.faults += [Fault("GET", "/resolve/", stall=True, times=99), Fault("GET", "/official/", stall=True, times=99)]
    fails(NAME, "did not answer within 0.1 s", "HF_HUB_DOWNLOAD_TIMEOUT")
    fails(catalogued(at_hub=None), "broke off", "5 times in a row")
    assert len(server.log) < 30


def test_a_full_disk_is_named(server, monkeypatch, catalogued, tmp_path):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file_download, "http_get", full)
    monkeypatch.setattr(download, "_copy", full)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    fails(catalogued(), f"the disk of {tmp_path} is full")  # and the official address is not asked
    fails(catalogued(at_hub=None), f"the disk of {tmp_path / 'cache'} is full", "GLAD_WEIGHTS_CACHE")
    assert not server.asked("GET", "/resolve/")


# From the official address


def test_the_official_address_when_the_hub_does_not_give_it(server, catalogued, content):
    name = catalogued(at_hub="org/none:g.safetensors")
    progress = []
    with pytest.warns(UserWarning, match="no such repository.*Instead tiny is taken from http"):
        record = hub.obtain(name, advance=lambda *at: progress.append(at))
    assert record.file.read_bytes() == content and record.source.endswith("/official/tiny.safetensors")
    assert progress[0] == (0, len(content)) and progress[-1] == (len(content), len(content))
    assert hub.obtain(name) == record
    assert {path.suffix for path in files_in(record.file.parent)} == {".safetensors", ".json"}


def test_neither_hub_nor_official_address(server, catalogued):
    name = catalogued(at_hub="org/none:g.safetensors", url="/official/gone.safetensors")
    with pytest.warns(UserWarning, match="no such repository"):
        fails(name, "/official/gone.safetensors", "404", "no such file")


def test_an_official_download_is_continued_by_the_next_command(server, catalogued, content, waits, monkeypatch):
    name = catalogued(at_hub=None)
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    server.faults.append(Fault("GET", "/official/", cut=5000))
    fails(name, "5,000 of", "the same command continues it")
    assert hub.fetch(name).read_bytes() == content
    first, second = server.asked("GET", "/official/")
    assert "Range" not in first.headers and second.headers["Range"] == "bytes=5000-"
    assert second.sent == len(content) - 5000


def test_an_official_download_that_breaks_off_is_tried_again(server, catalogued, content, waits):
    server.faults.append(Fault("GET", "/official/", cut=2000, times=3))
    assert hub.fetch(catalogued(at_hub=None)).read_bytes() == content
    assert [seen.headers.get("Range") for seen in server.asked("GET")] == [
        None,
        "bytes=2000-",
        "bytes=4000-",
        "bytes=6000-",
    ]


def test_a_file_that_changed_meanwhile_is_not_continued(server, catalogued, content, waits, monkeypatch, tmp_path):
    name = catalogued(at_hub=None)
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
def test_the_official_server_may_ask_to_wait(server, catalogued, content, waits, form):
    later = "9" if form == "seconds" else email.utils.formatdate(time.time() + 9, usegmt=True)
    server.faults.append(Fault("GET", "/official/", status=429, times=2, headers={"Retry-After": later}))
    assert hub.fetch(catalogued(at_hub=None)).read_bytes() == content
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
def test_the_official_server_may_refuse(server, catalogued, waits, tmp_path, fault, patterns):
    server.faults.append(Fault("GET", "/official/", times=99, **fault))
    fails(catalogued(at_hub=None), *patterns)
    assert len(server.log) <= download.ATTEMPTS
    assert not (tmp_path / "cache" / "tiny.safetensors").exists()


def test_a_closed_port(server, monkeypatch, waits):
    monkeypatch.setitem(
        catalog.CATALOG, "tiny", catalog.Entry(**{**vars(catalog.find("imagenet16")), "url": f"{CLOSED}/g.safetensors"})
    )
    fails("tiny", "no connection", "refused")


def test_a_pickle_is_converted_and_not_kept(server, catalogued, tmp_path):
    torch.save(tiny_generator().state_dict(), tmp_path / "g.pkl")
    server.official["g.pkl"] = (tmp_path / "g.pkl").read_bytes()
    server.commit("org/repo", {"orig/g.pkl": server.official["g.pkl"]})
    for at_hub in (None, "org/repo:orig/g.pkl"):
        record = hub.obtain(catalogued(at_hub, "/official/g.pkl", official.sha256(tmp_path / "g.pkl")), again=True)
        network, metadata = weights.load(record.file)
        assert torch.equal(network.mapping.w_avg, tiny_generator().mapping.w_avg)
        assert record.original == metadata["source_sha256"] == official.sha256(tmp_path / "g.pkl")
        assert record.sha256 == official.sha256(record.file) and metadata["licence"] == "mit"
        assert metadata["source"] == record.source
    assert {path.suffix for path in files_in(tmp_path / "cache")} == {".safetensors", ".json"}
    assert server.first not in record.source and "/blob/" in record.source


def test_a_pickle_that_is_no_generator_is_refused(server, catalogued, tmp_path):
    server.official["bad.pkl"] = b"\x80\x04cos\nsystem\n."
    with pytest.raises(weights.WeightsError, match="not readable as a generator"):
        hub.fetch(catalogued(None, "/official/bad.pkl"))
    assert store.read("tiny") is None


# Trust on first use


def test_a_file_that_changed_here_is_refused(server, content):
    path = hub.fetch(NAME)
    path.write_bytes(content[:-1] + b"x")
    fails(NAME, str(path), "has changed", f"`glad weights pull {NAME} --again`")
    assert hub.fetch(NAME, again=True).read_bytes() == content
    assert hub.fetch(NAME).read_bytes() == content


def test_a_file_that_changed_there_is_refused(server, content, tmp_path):
    before = hub.obtain(NAME)
    weights.save(tmp_path / "other.safetensors", tiny_generator(seed=1))
    server.commit("org/repo", {"g.safetensors": (tmp_path / "other.safetensors").read_bytes()})
    line = fails(NAME, "as it was the first time", again=True)
    assert hub.obtain(NAME) == before and before.file.read_bytes() == content
    Path(line.partition("delete ")[2].partition(")")[0]).unlink()
    assert hub.obtain(NAME, again=True).sha256 == official.sha256(tmp_path / "other.safetensors") != before.sha256


def test_an_official_file_that_changed_leaves_the_first_one(server, catalogued, content):
    before = hub.obtain(catalogued(at_hub=None))
    server.official["tiny.safetensors"] = content[:-1] + b"x"
    fails("tiny", "as it was the first time", again=True)
    assert hub.obtain("tiny") == before and before.file.read_bytes() == content


def test_a_file_that_is_gone_comes_back_and_a_broken_record_is_named(server, content, tmp_path):
    path = hub.fetch(NAME)
    store.discard(path)
    assert hub.fetch(NAME).read_bytes() == content
    (lock,) = (tmp_path / "cache").glob("*.lock")
    lock.unlink()
    lock.mkdir()  # a cache that is only read has no place for locks
    assert hub.fetch(NAME).read_bytes() == content
    (record,) = (tmp_path / "cache").glob("*.json")
    record.write_text("{")
    fails(NAME, str(record), "delete it")


def test_a_cache_that_cannot_be_written_to(server, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLAD_WEIGHTS_CACHE", str(tmp_path / "file" / "cache"))
    fails(NAME, "cannot be written to", "GLAD_WEIGHTS_CACHE")


# The commands


def test_pull_says_the_licence_first(server, content):
    server.cards["org/repo"] = {}
    lines = invoke("weights", "pull", NAME).splitlines()
    assert lines[0] == f"{NAME}: no licence stated (commercial use not stated, passing on not stated)"
    assert hashlib.sha256(content).hexdigest() in lines[2]
    assert lines[-1] == f"Use it with `glad distill --prior {NAME}`."
    assert "needs no download: comes with glad" in invoke("weights", "pull", "fashion-mini")
    assert "no weights called 'imagenet'" in invoke("weights", "pull", "imagenet", code=1)


def test_pull_shows_progress_of_an_official_download(server, catalogued, content):
    output = invoke("weights", "pull", catalogued(at_hub=None))
    assert "1/1" in output and output.startswith("tiny: mit (commercial use allowed")


def test_list_shows_what_is_here(server, catalogued):
    assert NAME not in invoke("weights", "list")
    path = hub.fetch(NAME)
    table = invoke("weights", "list")
    assert all(name in table for name in catalog.CATALOG) and f"  {NAME}: apache-2.0 (commercial use allowed" in table
    told = invoke("weights", "list", NAME)
    assert str(path) in told and "0.0 MB" in told and official.sha256(path) in told
    pinned = f"{NAME}@{server.first}"  # the same bytes by another name
    hub.fetch(pinned)
    (line,) = [line for line in invoke("weights", "list").splitlines() if "apache-2.0" in line and NAME in line]
    assert set(line.partition(": apache")[0].strip().split(", ")) == {NAME, pinned}
    path.unlink()
    assert "deleted" in invoke("weights", "list")


# In a run


def test_a_run_records_weights_source_and_licence(server, tmp_path):
    server.cards["org/repo"] = {"license": "cc-by-nc-4.0"}
    licence = "cc-by-nc-4.0 (commercial use forbidden, passing on allowed)"
    with pytest.warns(UserWarning) as notes:
        run = glad.distill(
            prior=NAME,
            limit=40,
            iterations=1,
            lr=0.01,
            network_options={"width": 8},
            objective_options={"batch": 2},
            out=tmp_path / "run",
            device="cpu",
        )
    assert [str(note.message) for note in notes].count(f"{NAME}: {licence}") == 1
    assert run.inputs["weights"] == {
        "name": NAME,
        "source": f"{server.address}/org/repo/blob/{server.first}/g.safetensors",
        "licence": licence,
        "sha256": run.inputs["hashes"]["weights"],
    }
    assert licence in (run.path / "config.yaml").read_text().splitlines()[0]
    assert run.config["prior"] == NAME


def test_a_prior_that_is_not_here_without_network(server, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for name in (NAME, "imagenet128"):
        with pytest.warns(UserWarning, match="commercial use not stated"):
            output = open_prior_fails(name)
        assert f"run `glad weights pull {name}` where there is a network" in output


def open_prior_fails(name):
    with pytest.raises(store.FetchError) as caught:
        open_prior(name, load_data("fashion-mini", limit=20).train, {}, torch.device("cpu"))
    return str(caught.value)


# To the Hub


@pytest.fixture
def own(tmp_path):
    weights.save(tmp_path / "mine.safetensors", tiny_generator(), data="digits", steps="12", recipe="a\nb|c")
    return tmp_path / "mine.safetensors"


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client, of its own way to send a file
def test_push_and_pull_again(server, own, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", server.token)
    output = invoke("weights", "push", str(own), "me/digits", "--licence", "cc-by-4.0", "--private")
    commit, files = server.commits["me/digits"][-1]
    assert output.splitlines()[-1] == f"{server.address}/me/digits/commit/{commit}"
    assert files["mine.safetensors"] == own.read_bytes() and "me/digits" in server.private
    card = files["README.md"].decode()
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    digest = official.sha256(own)
    for fact in (digest, "| steps | 12 |", "| data | digits |", "| recipe | a, b\\|c |", "pull me/digits:mine"):
        assert fact in card
    assert hub.fetch("me/digits:mine.safetensors").read_bytes() == own.read_bytes()
    invoke("weights", "push", str(own), "me/digits", "--licence", "cc-by-4.0")  # a repository that is there
    assert len(server.commits["me/digits"]) == 3


def test_a_dry_run_sends_nothing_and_shows_all(server, own):
    output = invoke("weights", "push", str(own), "me/digits", "--licence", "mit", "--dry-run")
    assert f"me/digits: mine.safetensors, {own.stat().st_size:,} bytes" in output
    assert official.sha256(own) in output and "license: mit" in output and "Nothing was sent" in output
    assert not server.log


def test_push_without_a_token_or_with_a_wrong_name(server, own):
    output = invoke("weights", "push", str(own), "me/digits", "--licence", "mit", code=1)
    assert "401" in output and "hf auth login" in output
    assert "me/../x" in invoke("weights", "push", str(own), "me/../x", "--licence", "mit", code=1)


def saved(path, **metadata):
    weights.save(path, tiny_generator(), **metadata)
    return str(path)


def test_what_may_not_be_passed_on_stays_here(server, tmp_path, own):
    def refused(file, *options):
        return " ".join(invoke("weights", "push", file, "me/x", *options, code=1).split())

    assert "states no licence: if it is your own, say under which one with --licence" in refused(str(own))
    unstated = saved(tmp_path / "a.safetensors", licence=catalog.UNSTATED.text)
    assert "must not be passed on: licence of the weights unstated" in refused(unstated, "--licence", "mit")
    converted = saved(tmp_path / "b.safetensors", licence=official.LICENCE)
    assert "must not be passed on" in refused(converted, "--licence", "mit")
    server.cards["org/repo"] = {}
    pulled = hub.fetch(NAME)
    assert f"by what {NAME} is published under" in refused(str(pulled), "--licence", "mit")
    stated = saved(tmp_path / "c.safetensors", licence="mit")
    assert "is under mit by its metadata, not under cc0-1.0" in refused(stated, "--licence", "cc0-1.0")
    (tmp_path / "d.safetensors").write_text("no weights")
    assert "not usable as generator weights" in refused(str(tmp_path / "d.safetensors"), "--licence", "mit")
    assert not [seen for seen in server.log if seen.method in ("POST", "PUT")]


@pytest.mark.parametrize(
    ("file", "front"),
    [
        (weights.EMBEDDED["fashion-mini"], "license: apache-2.0\n"),
        ({"licence": "cc0"}, "license: cc0-1.0\n"),
        ({"licence": "CC-BY-NC-4.0"}, "license: cc-by-nc-4.0\n"),
    ],
)
def test_what_states_its_licence_needs_none(server, tmp_path, file, front):
    path = saved(tmp_path / "g.safetensors", **file) if isinstance(file, dict) else str(file)
    assert front in invoke("weights", "push", path, "me/x", "--dry-run")


def test_a_licence_of_ones_own_has_a_name(server, own):
    output = invoke("weights", "push", str(own), "me/x", "--licence", "ask me: first", "--dry-run")
    assert f"license: other\nlicense_name: {json.dumps('ask me: first')}\n" in output
    assert load_file(own)
