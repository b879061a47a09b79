"""The public weights of TAESD are brought by name, with their license, and found again without a network."""

from pathlib import Path

import torch
from click.testing import CliRunner
from tiny_autoencoder import weights_file

from generators import catalog
from glad.cli import main
from glad.priors import TAESD

FILE = "diffusion_pytorch_model.safetensors"


def test_the_weights_come_from_the_hub_at_the_pinned_revision(server, monkeypatch):
    entry = catalog.CATALOG["taesd"]
    repo, _, commit = entry.hub.replace(f":{FILE}@", " ").partition(" ")
    assert repo == "madebyollin/taesd" and len(commit) == 40
    made = server.commit(repo, {FILE: Path(weights_file()).read_bytes()})
    server.commit(repo, {FILE: b"what came later"})
    there = catalog.CatalogEntry(**{**vars(entry), "hub": f"{repo}:{FILE}@{made}"})
    monkeypatch.setitem(catalog.CATALOG, "taesd", there)
    listed = CliRunner().invoke(main, ["weights", "list", "taesd"]).output
    assert "MIT" in listed and repo in listed
    for _ in range(2):
        weights = TAESD(None, None, None, 8, 1, torch.device("cpu")).provenance()
        assert (weights.name, weights.license.id, weights.file) == ("taesd", "mit", "")
        assert made in weights.source and weights.bytes > 9e6
        asked = len(server.log)
    assert len(server.log) == asked
