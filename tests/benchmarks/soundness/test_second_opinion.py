import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.soundness.second_opinion import least_violation


def network(*layers: tuple[list, list]) -> bytes:
    """MatMul, Add layers with ReLUs between them."""
    nodes, constants, last = [], [], "x"
    for k, (weight, bias) in enumerate(layers):
        for name, values in (("w", weight), ("b", bias)):
            constants.append(numpy_helper.from_array(np.array(values, dtype=np.float32), f"{name}{k}"))
        nodes += [helper.make_node("MatMul", [last, f"w{k}"], [f"m{k}"]),
                  helper.make_node("Add", [f"m{k}", f"b{k}"], [f"a{k}"])]
        last = f"a{k}"
        if k + 1 < len(layers):
            nodes.append(helper.make_node("Relu", [last], [f"r{k}"]))
            last = f"r{k}"
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
              for name, size in (("x", len(layers[0][0])), (last, len(layers[-1][1])))]
    return helper.make_model(helper.make_graph(nodes, "g", shapes[:1], shapes[1:], constants)).SerializeToString()


# |x| by two ReLUs as Y_0, and the constant Y_1.
def absolute(constant: float) -> bytes:
    return network(([[1, -1]], [0, 0]), ([[1, 0], [1, 0]], [0, constant]))


BOX = "(assert (>= X_0 -1))(assert (<= X_0 1))"


@pytest.mark.parametrize(("constant", "least"), [(-0.5, 0.5), (0.0, 0.0), (0.25, -0.25)])
def test_the_least_difference_is_found(constant, least):
    assert least_violation(absolute(constant), BOX + "(assert (<= Y_0 Y_1))") == pytest.approx(least, abs=1e-5)
    assert least_violation(absolute(constant), BOX + "(assert (>= Y_1 Y_0))") == pytest.approx(least, abs=1e-5)


def test_the_largest_row_of_a_conjunction_counts():
    both = BOX + "(assert (<= Y_0 Y_1))(assert (<= Y_1 Y_0))"
    assert least_violation(absolute(0.25), both) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("spec", [BOX + "(assert (<= Y_0 0.5))", BOX + "(assert (or (<= Y_0 Y_1) (<= Y_1 Y_0)))",
                                  "(assert (>= X_0 -1))(assert (<= Y_0 Y_1))"])
def test_other_forms_are_not_answered(spec):
    assert least_violation(absolute(0.0), spec) is None
    model = onnx.load_model_from_string(absolute(0.0))
    model.graph.node[2].op_type = "Tanh"
    assert least_violation(model.SerializeToString(), BOX + "(assert (<= Y_0 Y_1))") is None
