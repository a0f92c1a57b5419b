"""Changes of models: names of their own, exact constants, one input."""

import re

import numpy as np
import onnx
import pytest

from tests.verify.specs.models import dense
from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import.join import join
from verify.onnx_import.module import from_module
from verify.onnx_import.part import Port
from verify.specs.surgery import Surgery, only_input, reread, terms

SINGLE, DOUBLE = Port("x", (1,)), Port("x", (1,), double=True)


@pytest.mark.parametrize("port", [SINGLE, DOUBLE])
def test_terms_are_an_exact_sum(port):
    values = np.array([0.1, -1 / 3, 0.5, 0.0, 1e-20, 12345678.9])
    found = terms(values, port, "values")
    assert all(term.dtype == port.dtype for term in found) and len(found) == (1 if port.double else 3)
    rest = values.copy()
    for term in found:
        rest = rest - term
    assert not rest.any() and not terms(np.zeros(2), port, "values")


@pytest.mark.parametrize("value", [1e39, 1e-60])
def test_numbers_beyond_the_type(value):
    with pytest.raises(InvalidInput, match=re.escape(f"the base holds {value}, too large or too small")):
        terms(np.array([1.0, value]), SINGLE, "the base")


def test_changes_can_be_repeated():
    """Names of a second change do not meet those of the first."""
    network = from_module(dense(2, 3, 2), input_shape=(1, 2))
    for _ in range(2):
        surgery = Surgery(network)
        value = surgery.plus(surgery.port.name, np.array([[1.0, 2.0]]), "shift")
        network = reread(surgery.behind(value, (1, 2)), network)
    model = onnx.load_model_from_string(network.onnx)
    names = [name for node in model.graph.node for name in node.output]
    assert len(set(names)) == len(names) and network.output_shape == (6,)


def test_one_input_is_needed():
    network = from_module(dense(2, 2), input_shape=(1, 2))
    with pytest.raises(UnsupportedOperator, match="has 2 inputs; these specifications are about models with one"):
        only_input(join([("f", network), ("g", network)]))
