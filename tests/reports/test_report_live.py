"""``glad report --watch``: what it answers, to whom, and how it ends."""

import http.client
import os
import re
import signal
import socket
import threading
import time

import forked
import pytest
from distilled_sets import fails
from errors import mentions
from report_runs import Page, make_run, results_of

from glad.reports.live import HOST, Server
from glad.runs.storage import write_json


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "toy", done=25)


@pytest.fixture
def server(run):
    with Server([run]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server, path, **headers):
    connection = http.client.HTTPConnection(HOST, server.server_address[1], timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_the_page_is_drawn_anew_when_files_change(server, run):
    version = get(server, "/version")[1]
    status, text = get(server, "/")
    assert status == 200 and Page(text).all("main")[0]["data-version"] == version
    assert "Unfinished: 25 of 40 iterations" in Page(text).text
    assert "connect-src 'self'" in Page(text).all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert get(server, "/version")[1] == version  # nothing changed
    run.add_metrics(25, {"loss": 1.0})
    assert get(server, "/version")[1] != version
    assert "Unfinished: 26 of 40 iterations" in Page(get(server, "/page")[1]).text
    write_json(run.path / "results.json", results_of("toy"))
    assert "Yes: better than every baseline" in Page(get(server, "/")[1]).text


def test_a_page_is_drawn_once_for_many_questions(server, monkeypatch):
    page = get(server, "/")[1]
    monkeypatch.setattr("glad.reports.live.render", lambda *_: pytest.fail("drawn again"))
    assert get(server, "/")[1] == page


def test_it_is_for_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    assert get(server, "/", Host="somewhere.example")[0] == 403  # a name that was pointed here
    assert get(server, "/", Host=f"localhost:{server.server_address[1]}")[0] == 200
    assert get(server, "/../../etc/passwd")[0] == 404
    assert get(server, "/config.yaml")[0] == 404


def test_damage_is_said_and_passes(server, run):
    path = run.path / "results.json"
    path.write_text("{")
    status, said = get(server, "/")
    assert status == 503 and "results.json" in said
    path.unlink()
    assert get(server, "/")[0] == 200


def test_a_bad_port_is_one_line(run, tmp_path):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = fails("report", run.path, "--watch", "--port", port)
    assert mentions(message, f"{port} 127.0.0.1 Address already in use")
    (tmp_path / "empty").mkdir()
    assert "is not the folder of a run" in fails("report", tmp_path / "empty", "--watch")


COMMAND = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore Ctrl-C
sys.stdout.reconfigure(line_buffering=True)
{forked.GLAD}
"""


def test_the_command_serves_until_ctrl_c(run):
    process = forked.start(COMMAND, "report", "--watch", run.path, PYTHONWARNINGS="default")
    try:
        limit = time.monotonic() + 60
        while not process.stdout.endswith("\n"):
            assert time.monotonic() < limit and process.runs(), process.stderr
            time.sleep(0.01)
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout)[1])
        said = process.stdout
        connection = http.client.HTTPConnection(HOST, port, timeout=20)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        os.kill(process.pid, signal.SIGINT)
        assert process.returncode == 0, process.stderr
        assert process.stdout.removeprefix(said).strip() == "Stopped." and not process.stderr
    finally:
        process.kill()
