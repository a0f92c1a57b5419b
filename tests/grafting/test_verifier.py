"""What the verifier sees of an exported grafted network: lines cost nothing and are never split; proofs pass."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from grafting.export import export_grafted
from grafting.graft import graft, selected
from tests.grafting.test_graft import some
from tests.grafting.test_plain import wild
from tests.grafting.toys import SHAPE, conv, images, mlp
from training.properties import robustness_text
from verify.api import verify
from verify.bounds.ascent import AscentOptions
from verify.bounds.root import compact_root, refine
from verify.budget import Budget
from verify.certificate.checker.check import check
from verify.certificate.checker.stream import open_container
from verify.explain import explain
from verify.onnx_import import load_network
from verify.onnx_import.simplify import simplify
from verify.pipeline import Problem, solve
from verify.properties import robustness
from verify.query import lower
from verify.result import Verdict

EPS = 0.15


def exported(build, tmp_path, share: float = 0.5, seed: int = 0):
    """The model, and a file in which lines are unlike ReLUs: whoever takes one for a ReLU is wrong."""
    model = build(seed)
    changed = graft(model, SHAPE, some(model, share, seed), calibration=images(100))
    return changed, export_grafted(changed, SHAPE, tmp_path / "net.onnx", images(20), EPS)


@pytest.mark.parametrize("build", [mlp, conv])
@pytest.mark.parametrize("seed", range(3))
def test_no_line_is_in_the_collapsed_network(build, seed, tmp_path):
    changed, file = exported(build, tmp_path, seed=seed)
    network = load_network(file.path)
    x = images(1, 40 + seed)
    spec = robustness(x, EPS, int(changed(x).argmax()), 3, (0, 1))
    masks = [mask.flatten() for mask in selected(changed, SHAPE).values()]
    for graph in (network.graph, simplify(network.graph), network.declared):
        query = lower(spec.cases[0], graph, spec)
        root = compact_root(query.graph, query.interval(), torch.from_numpy(query.varying)).network
        relus = [node.name for node in graph.nonlinear]
        assert root.unstable > 0 and len(relus) == len(masks)
        for net in (root, refine(root, AscentOptions(5))):
            for layer in net.layers:
                assert not masks[relus.index(layer.node)][layer.neurons].any()
    assert f"nonlinear    {file.neurons - file.lines} neurons in {len(masks)} layers" in explain(network).lines()


def least_output(model, x, eps: float) -> float:
    """The smallest first output that gradient descent finds in the ball."""
    low, high = (x - eps).clamp(min=0), (x + eps).clamp(max=1)
    points = low + torch.rand(64, *SHAPE, generator=torch.Generator().manual_seed(0)) * (high - low)
    for step in range(60):
        points.requires_grad_()
        (gradient,) = torch.autograd.grad(model(points)[:, 0].sum(), points)
        points = (points.detach() - eps * 0.2 * 0.95**step * gradient.sign()).clamp(low, high)
    return float(model(points.detach())[:, 0].detach().min())


def output_text(x, eps: float, limit: float) -> str:
    """Unsafe: Y_0 <= limit."""
    lines = robustness_text(x, 0, eps, 3).splitlines()
    return "\n".join([line for line in lines if "(or" not in line] + [f"(assert (<= Y_0 {limit:.6f}))", ""])


@pytest.mark.parametrize("build", [mlp, conv])
def test_the_search_and_its_proof(build, tmp_path):
    """Properties that hold narrowly and need splits; their proofs pass the independent checker."""
    changed, file = exported(build, tmp_path, 0.3)
    spec, proof, eps, domains = tmp_path / "p.vnnlib", tmp_path / "p.proof", 0.3, []
    for k in range(2):
        x = images(1, 60 + k)
        spec.write_text(output_text(x, eps, least_output(changed, x, eps) - 0.01))
        found = verify(file.path, spec, timeout=20, proof=proof)
        assert found.verdict is Verdict.VERIFIED, found
        domains.append(found.stats.domains)
        report = check(file.path.read_bytes(), spec.read_bytes(), open_container(proof))
        assert report.checked == report.leaves >= 1
    assert max(domains) > 1
    command = [sys.executable, "-m", "verify", "check", str(file.path), str(spec), str(proof)]
    assert subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("share", [0.3, 1.1])
def test_lines_of_any_slope_are_verified_soundly(share, tmp_path):
    """Verdicts about networks with wild lines against sampling; fully grafted ones are decided at once."""
    model = conv(2)
    changed = wild(model, some(model, share, 2))
    file = export_grafted(changed, SHAPE, tmp_path / "net.onnx", images(20), EPS)
    network, verdicts = load_network(file.path), []
    generator = torch.Generator().manual_seed(0)
    for x in images(8, 70).split(1):
        label = int(changed(x).argmax())
        result = solve(Problem(network, robustness(x, 0.05, label, 3, (0, 1))), budget=Budget.seconds(5))
        moves = (torch.rand(2000, *SHAPE, generator=generator) * 2 - 1).mul(3).clamp(-1, 1) * 0.05
        wrong = (changed((x + moves).clamp(0, 1)).argmax(1) != label).any()
        verdicts.append(result.verdict)
        assert not (result.verdict is Verdict.VERIFIED and wrong)
        assert share < 1 or (result.verdict is not Verdict.UNKNOWN and result.stats.domains <= 1)
    assert Verdict.VERIFIED in verdicts and np.isfinite(file.max_difference)
