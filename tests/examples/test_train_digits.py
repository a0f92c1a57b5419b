"""The committed examples: networks and properties fit together; the scores are right at the unperturbed image."""

from pathlib import Path

import numpy as np
import pytest
import torch

from verify.onnx_import.model import load_network
from verify.query import lower
from verify.vnnlib import read_spec

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("name", ["digits_mlp", "digits_conv"])
@pytest.mark.parametrize("kind", ["holds", "violated"])
def test_property_fits_its_network_and_holds_at_the_centre(name, kind):
    network = load_network(EXAMPLES / f"{name}.onnx")
    spec = read_spec(EXAMPLES / f"{name}_{kind}.vnnlib")
    (case,) = spec.cases
    query = lower(case, network.graph, spec)
    assert query.rows == 9 and query.members.shape == (9, 9)
    middle = (case.box.lower + case.box.upper) / 2
    rows = query.graph.evaluate(torch.from_numpy(middle).reshape(1, *network.input_shape))
    assert bool((rows > 0).all())
    assert np.all(case.box.lower < case.box.upper)
