"""The recipes of docs/SCALE.md: their commands are ones of torchrun, and those for two machines run on one."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from rank_jobs import free_port
from torch.distributed.run import get_args_parser

import glad

PAGE = (Path(__file__).parents[2] / "docs" / "SCALE.md").read_text()
SMALL = ["--objective", "dm", "--prior", "pixels", "--limit", "40", "--device", "cpu", "-o", "batch=4", "--iterations",
         "4", "--network-option", "width=4", "--save-every", "1", "--rank-timeout", "200"]  # fmt: skip


def slurm():
    return next(block for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S) if "#SBATCH" in block)


def kubernetes():
    return list(yaml.safe_load_all(re.search(r"```yaml\n(.*?)```", PAGE, re.S)[1]))


def container():
    (found,) = kubernetes()[1]["spec"]["template"]["spec"]["containers"]
    return found


def test_the_service_and_the_job_of_kubernetes_belong_together():
    service, job = kubernetes()
    name, pod = service["metadata"]["name"], job["spec"]["template"]["spec"]
    assert (service["kind"], service["spec"]["clusterIP"], job["kind"]) == ("Service", "None", "Job")
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]} and pod["subdomain"] == name
    assert f"{job['metadata']['name']}-0.{name}:" in container()["args"][0]  # the pod of index 0
    assert [mount["name"] for mount in container()["volumeMounts"]] == [volume["name"] for volume in pod["volumes"]]
    nodes = int(re.search(r"--nnodes (\d+)", container()["args"][0])[1])
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == nodes


def commands():
    """The options after each ``torchrun`` of the page, with numbers in place of what the engine says."""
    for words in re.findall(r"torchrun (--[^`#]*?)(?:-m glad|\.\.\.)", PAGE.replace("\\\n", " ")):
        yield re.sub(r"\$\w+", "1", re.sub(r'"\$\(.*?\):29500"', "node:29500", words)).split()


def test_every_command_is_one_of_torchrun():
    found = [get_args_parser().parse_args([*options, "-m", "glad"]) for options in commands()]
    assert [given.nnodes for given in found].count("2") == 2 and len(found) >= 6
    assert all(given.rdzv_backend == "c10d" for given in found if not given.standalone and given.rdzv_endpoint)


def small(command, folder, port):
    """The command of a recipe with a small run on CPUs in place of the one on GPUs."""
    assert "--preset dm-imagenet-128" in command and "--nproc-per-node 8" in command and ":29500" in command
    command = command.replace("--nproc-per-node 8", "--nproc-per-node 1").replace(":29500", f":{port}")
    command = command.replace("--preset dm-imagenet-128", " ".join(SMALL)).replace("/shared/run", str(folder / "run"))
    return command.replace("torchrun", f"{sys.executable} -m torch.distributed.run")


def same_as_alone(folder):
    whole = glad.distill(
        objective="dm", prior="pixels", limit=40, device="cpu", objective_options={"batch": 4}, iterations=4,
        network_options={"width": 4}, sharded=True, out=folder / "whole",
    )  # fmt: skip
    return torch.equal(whole.read_set()[0], glad.Run(folder / "run").read_set()[0])


@pytest.mark.slow
def test_the_script_for_slurm_runs_on_two_machines_that_are_one(tmp_path, one_thread):
    stubs = tmp_path / "bin"
    stubs.mkdir()
    (stubs / "scontrol").write_text("#!/bin/sh\n[ \"$*\" = 'show hostnames a,b' ] && echo localhost && echo b\n")
    (stubs / "srun").write_text('#!/bin/sh\n"$@" & first=$!\n"$@" && wait $first\n')
    for stub in stubs.iterdir():
        stub.chmod(0o755)
    script = tmp_path / "job"
    script.write_text(small(slurm(), tmp_path, free_port()))
    named = {"SLURM_NNODES": "2", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "a,b", "OMP_NUM_THREADS": "1"}
    environ = {**os.environ, **named, "PATH": f"{stubs}:{os.environ['PATH']}"}
    done = subprocess.run([shutil.which("bash"), str(script)], env=environ, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("finished") == 1, done.stderr
    assert glad.Run(tmp_path / "run").inputs["arithmetic"]["ranks"] == 2
    assert same_as_alone(tmp_path)


@pytest.mark.slow
def test_the_command_for_kubernetes_runs_in_two_pods_that_are_one_machine(tmp_path, one_thread):
    command = small(container()["args"][0], tmp_path, free_port()).replace("glad-0.glad", "localhost")
    pods = [
        subprocess.Popen([*container()["command"], command], env={**os.environ, "JOB_COMPLETION_INDEX": index,
                         "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True)
        for index in "01"
    ]  # fmt: skip
    errors = [pod.communicate()[1] for pod in pods]
    assert [pod.returncode for pod in pods] == [0, 0], errors
    assert glad.Run(tmp_path / "run").inputs["arithmetic"]["ranks"] == 2
    assert same_as_alone(tmp_path)
