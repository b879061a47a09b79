"""NCFM: its loss written out, its networks between first and last weights, and runs of what was called so before."""

import cmath
import math
from types import SimpleNamespace

import pytest
import torch
import yaml
from distilled_sets import fails, invoke
from errors import naming
from fixtures import GOLDEN
from torch.nn import functional as F

import glad
from glad.networks import make_network
from glad.objectives.base import Step
from glad.objectives.ncfm import NCFM
from glad.optimizers import make_optimizer
from glad.rng import normal, rng_for
from glad.runs.folder import Run

EXPERTS = str(GOLDEN / "run-d10c73f" / "experts")
DATA = ("--classes", "0", "--classes", "1", "--classes", "2", "--limit", "60", "--network-option", "width=4")
SMALL = ("-o", "batch=8", "-o", "frequencies=16", "--device", "cpu")
LABELS = torch.tensor([0, 0, 1])


def network(rng):
    made = make_network("convnet", channels=1, classes=2, resolution=16, rng=rng, width=3, depth=1)
    return made.double()


def real(c, n, rng):
    return torch.randn(n, 1, 16, 16, generator=rng, dtype=torch.float64) + c


def plain(images, rng, shared):
    assert shared
    return images


def parameters(name):
    return torch.nn.utils.parameters_to_vector(network(rng_for(name)).parameters()).detach()


def segment(rng, max_start_epoch, length):
    assert (max_start_epoch, length) == (1, 0)
    return SimpleNamespace(checkpoint=lambda i: {0: parameters("first"), 5: parameters("last")}[i], remaining=5)


def images():
    return torch.randn(3, 1, 16, 16, generator=rng_for("images"), dtype=torch.float64)


def with_weights(vector):
    made = network(rng_for("any"))
    torch.nn.utils.vector_to_parameters(vector, made.parameters())
    return made


def written_out(step, frequencies, batch, calibration):
    """The loss in loops over frequencies, rows and features, with complex numbers of Python."""
    share = float(torch.rand((), generator=step.rng("blend")))
    seen = with_weights(parameters("first") + share * (parameters("last") - parameters("first")))
    trained, total = with_weights(parameters("last")), 0.0
    for c in (0, 1):
        synthetic = images()[c == LABELS]
        rows = [seen.embed(x).detach() for x in (synthetic, real(c, batch, step.rng(f"real {c}")))]
        rows = [(x / x.square().sum(1, keepdim=True).sqrt()).tolist() for x in rows]
        at = normal([frequencies, len(rows[0][0])], step.rng("frequencies")).double().tolist()
        gaps = []
        for t in at:
            one, other = (
                sum(cmath.exp(1j * sum(a * b for a, b in zip(t, row, strict=True))) for row in x) / len(x) for x in rows
            )
            angle = cmath.phase(one) - cmath.phase(other)
            phases = 2 * abs(one) * abs(other) * (1 - math.cos(angle))
            gaps.append(math.sqrt(0.5 * (abs(one) - abs(other)) ** 2 + 0.5 * phases))
        total += 300 * sum(gaps) / len(gaps)
        for logits in trained(synthetic).tolist():
            total -= calibration / len(synthetic) * (logits[c] - math.log(sum(math.exp(value) for value in logits)))
    return total


@pytest.mark.parametrize("calibration", [0.0, 1.0, 2.5])
def test_the_loss_is_the_published_formula(calibration):
    step = Step(3, 7)
    objective = NCFM(real, network, plain, segment, batch=4, frequencies=6, calibration=calibration)
    terms = list(objective.terms(images(), LABELS, step))
    assert len(terms) == 2
    assert float(sum(terms)) == pytest.approx(written_out(step, 6, 4, calibration), rel=1e-7)


def test_networks_lie_between_the_first_and_the_last_weights_and_differ_from_step_to_step(monkeypatch):
    seen = []

    def note(module, inputs):
        seen.append(torch.nn.utils.parameters_to_vector(module.parameters()))

    def observed(rng):
        made = network(rng)
        made.readout.register_forward_pre_hook(lambda module, inputs: note(made, inputs))
        return made

    objective = NCFM(real, observed, plain, segment, batch=4, frequencies=2, calibration=0.0)
    way = parameters("last") - parameters("first")
    for iteration in range(4):
        list(objective.terms(images(), LABELS, Step(0, iteration)))
    shares = [((vector - parameters("first")) @ way / way.square().sum()).item() for vector in seen]
    for vector, share in zip(seen, shares, strict=True):
        torch.testing.assert_close(vector, torch.lerp(parameters("first"), parameters("last"), share))
    assert all(0 <= share <= 1 for share in shares) and len({round(share, 6) for share in shares}) == 4


def test_the_gradient_is_that_of_finite_differences_in_every_pixel_that_is_looked_at():
    objective = NCFM(real, network, plain, segment, batch=4, frequencies=6)

    def loss(x):
        return sum(objective.terms(x, LABELS, Step(0, 0)))

    x = images().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x), x)
    for place in [(0, 0, 3, 4), (1, 0, 8, 8), (2, 0, 15, 0)]:
        moved = [images() for _ in range(2)]
        moved[0][place] += 1e-5
        moved[1][place] -= 1e-5
        slope = (loss(moved[0]) - loss(moved[1])) / 2e-5
        assert float(gradient[place]) == pytest.approx(float(slope), rel=1e-4, abs=1e-7)


def test_adamw_takes_torchs_step():
    start = torch.randn(5, generator=rng_for("start"))
    ours, theirs = (start.clone().requires_grad_() for _ in range(2))
    optimizer = make_optimizer({"pixels": ours}, {"pixels": 1e-3}, 0.5, NCFM.optimizers)
    other = torch.optim.AdamW([theirs], 1e-3)
    for tensor, stepped in ((ours, optimizer), (theirs, other)):
        for _ in range(3):
            stepped.zero_grad()
            F.mse_loss(tensor, torch.ones(5)).backward()
            stepped.step()
    assert torch.equal(ours, theirs) and not torch.equal(ours, start)


@pytest.mark.parametrize(
    "wrong", [{"batch": 0}, {"frequencies": 0}, {"phase": 1.5}, {"calibration": -1.0}, {"calibration": float("inf")}]
)
def test_options_are_checked(wrong):
    with pytest.raises(ValueError, match=naming(str(next(iter(wrong.values()))))):
        NCFM(real, network, plain, segment, **wrong)


def command(out, objective, *more):
    settings = (*DATA, *SMALL, "--objective", objective, "--prior", "idc", "--save-every", "1")
    return ["distill", *settings, "--out", str(out), *more]


def test_a_run_on_tiles_is_cut_and_goes_on_to_the_same_end(tmp_path):
    whole = command(tmp_path / "whole", "ncfm", "--experts", EXPERTS)
    invoke(*whole, "--iterations", "3")
    cut = command(tmp_path / "cut", "ncfm", "--experts", EXPERTS)
    invoke(*cut, "--iterations", "1")
    invoke(*cut, "--iterations", "3")
    one, other = (Run(tmp_path / name) for name in ("whole", "cut"))
    assert torch.equal(one.read_set()[0], other.read_set()[0])
    assert not torch.equal(one.read_set()[0], one.read_set("initial")[0])
    assert one.config["objective_options"]["calibration"] == 1.0 and one.config["objective"] == "ncfm"


def test_without_experts_the_command_that_trains_them_is_named_and_so_is_the_former_objective(tmp_path):
    said = fails(*command(tmp_path / "run", "ncfm"))
    assert "glad experts train --out" in said and "--objective cf" in said


@pytest.mark.parametrize("experts", [(), ("--experts", EXPERTS)])
def test_a_run_of_what_was_called_ncfm_opens_and_goes_on_as_cf(tmp_path, experts):
    asked = command(tmp_path / "run", "cf", *experts)
    invoke(*asked, "--iterations", "1")
    path = tmp_path / "run" / "config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "objective": "ncfm"}))
    run = glad.Run(tmp_path / "run")
    assert run.settings.objective == run.config["objective"] == "cf"
    again = command(tmp_path / "run", "ncfm", *experts, "--iterations", "2")
    assert ("'cf' there, 'ncfm' now" if experts else "--objective cf") in fails(*again)
    invoke(*asked, "--iterations", "2")
    assert yaml.safe_load(path.read_text())["objective"] == "cf" and run.state.exists()
