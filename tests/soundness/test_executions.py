"""The random executions are executions: near the network over the reals, and not all alike."""

from __future__ import annotations

import numpy as np
import torch

from tests.soundness.executions import execute
from tests.soundness.random_networks import IMAGES, KINDS, Builder
from verify.onnx_import import from_bytes


def test_executions_are_near_the_reals_and_differ():
    differing = 0
    for seed, build in enumerate(KINDS.values()):
        rng = np.random.default_rng(seed)
        shape = (1, 1, 3, 3) if build in IMAGES else (1, 4)
        builder = Builder(rng, shape)
        graph = from_bytes(builder.model(*build(builder))).declared
        x = rng.uniform(-1, 1, shape).astype(np.float32)
        exact = graph.evaluate(torch.from_numpy(x).double().unsqueeze(0))[0].numpy()
        found = [execute(graph, x, rng)[graph.output] for _ in range(6)]
        assert all(np.allclose(y, exact, rtol=1e-5, atol=1e-5) for y in found), build.__name__
        assert all(np.allclose(y, y.astype(np.float32), rtol=1e-15, atol=1e-15) for y in found)
        differing += any((y != found[0]).any() for y in found)
    assert differing > len(KINDS) // 2
