"""Tasks on Ray: the results of one process, also where workers are killed and machines vanish."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import forked
import pytest
import torch
from distilled_sets import distill
from errors import naming
from few_images import few_held_out
from task_cases import fail, keys, kill, state, wait, work

import glad
from glad.runs.storage import RunError
from glad.tasks import order as orders
from glad.tasks.cluster import RayTasks
from glad.tasks.order import NodeError

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
EXPERTS = {
    "data": "fashion-mini", "limit": 400, "count": 3, "recipe_options": {"epochs": 6, "batch": 20},
    "network_options": {"width": 16}, "device": "cpu",
}  # fmt: skip
EVALUATION = {
    "networks": ["convnet", "alexnet"], "network_options": {"convnet": {"width": 8}, "alexnet": {"width": 8}},
    "seeds": 2, "epochs": 120, "baselines": ["random"], "device": "cpu",
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", forked.OURS)  # where workers find this project and the tasks of tests
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with few_held_out():
        return distill(tmp_path_factory.mktemp("ray") / "run", iterations=1, limit=160)


@pytest.fixture(scope="module")
def alone(run, tmp_path_factory):
    """What one process gives: the files of experts, and results."""
    folder = tmp_path_factory.mktemp("alone")
    glad.train_experts(out=folder, **EXPERTS)
    return contents(folder), evaluated(run)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def evaluated(run, **options):
    """``results.json`` without what is measured by the clock."""
    path = run.path / "results.json"
    path.unlink(missing_ok=True)
    glad.evaluate(run, **EVALUATION, **options)
    found = json.loads(path.read_text())
    assert sorted(p.name for p in run.path.iterdir() if p.name.startswith((".", "results"))) == ["results.json"]
    for cell in found["cells"]:
        del cell["seconds"]
    return found


def once(condition, action):
    """Do ``action`` in a thread once ``condition`` holds; the list has what it gave."""
    done = []

    def watch():
        while not condition():
            time.sleep(0.02)
        done.append(action())

    threading.Thread(target=watch, daemon=True).start()
    return done


def workers_of(name):
    """Processes below this one whose title has ``name``, as Ray's workers say what they do."""
    parents, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(folder.name)] = (folder / "cmdline").read_bytes().decode()
        except (OSError, ValueError):
            continue

    def ours(pid):
        while pid in parents:
            pid = parents[pid]
            if pid == os.getpid():
                return True
        return False

    return [pid for pid, title in titles.items() if name in title and ours(pid)]


def kill_a_worker():
    os.kill(workers_of("carry_out")[0], signal.SIGKILL)
    return True


def test_experts_and_evaluation_on_this_machine_equal_one_process_with_a_worker_killed(run, alone, tmp_path):
    stated = []
    killed = once(lambda: len(list(tmp_path.glob("*.state"))) == 2, kill_a_worker)
    options = {"ray": "local", "workers": 2}
    glad.train_experts(out=tmp_path, on_epoch=lambda *found: stated.append(found[:2]), **EXPERTS, **options)
    assert killed and contents(tmp_path) == alone[0]
    assert sorted(stated) == [(n, 6) for n in range(3)]
    assert not ray.is_initialized()
    killed = once(lambda: len(workers_of("carry_out")) == 2, kill_a_worker)
    assert evaluated(run, **options) == alone[1]
    assert killed


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield made
    made.shutdown()


@pytest.fixture
def second(cluster):
    """Another node; the function that kills it."""
    node, there = cluster.add_node(num_cpus=1), [True]
    cluster.wait_for_nodes()

    def vanish():
        if there:
            cluster.remove_node(node, allow_graceful=there.pop() is None)
        return True

    yield vanish
    vanish()


def test_a_node_that_vanishes_in_mid_task_changes_nothing(cluster, second, run, alone, tmp_path):
    killed = once(lambda: len(list(tmp_path.glob("*.state"))) == 2, second)
    glad.train_experts(out=tmp_path, ray=cluster.address, **EXPERTS)
    assert killed and contents(tmp_path) == alone[0]


def test_an_evaluation_outlives_a_node(cluster, second, run, alone):
    killed = []
    found = evaluated(run, ray=cluster.address, on_cell=lambda *_: killed or killed.append(second()))
    assert killed and found == alone[1]


def test_faults_of_tasks_and_nodes_on_a_cluster(cluster, second, tmp_path, monkeypatch):
    """One cluster for all: an error, a task that always dies, another version, a folder that is not shared."""
    cpu = torch.device("cpu")

    def engine(folder=tmp_path, workers=None):
        return RayTasks(cluster.address, workers, folder, cpu)

    ours = engine()
    try:
        found = []
        with pytest.raises(ValueError, match="one is refused"):
            for result in ours.run(work(fail, tmp_path), [(1,), (0,), (3,)]):
                found.append(result)
        assert sorted(found) == [(1, 0), (2, 3)]
        assert [place[1:] for _, place in ours.run(work(state, tmp_path), keys(1))] == [(1, "auto", str(Path.cwd()))]
        with pytest.raises(RunError, match=naming("task 1 4 times")):
            list(ours.run(work(kill, tmp_path), keys(2)))
        once(lambda: list(tmp_path.glob("begun-*")), lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            list(ours.run(work(wait, tmp_path), keys(3)))
    finally:
        ours.close()
    begun = [int(path.name.removeprefix("begun-")) for path in tmp_path.glob("begun-*")]
    limit = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in begun) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not [pid for pid in begun if Path(f"/proc/{pid}").exists()]
    monkeypatch.setattr("glad.tasks.cluster.facts_of", lambda device: {**orders.facts_of(device), "torch": "1.0"})
    other = engine()
    with pytest.raises(NodeError, match=naming("torch 1.0")):
        list(other.run(work(state, tmp_path), keys(2)))
    other.close()
    assert not list(tmp_path.glob(".*"))
