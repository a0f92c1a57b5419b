from onnx import TensorProto, helper

from tests.verify.engines.problems import problem
from verify.explain import explain
from verify.onnx_import import from_bytes
from verify.pipeline import Problem
from verify.properties import linear


def text_of(subject):
    return "\n".join(explain(subject).lines())


def quotient() -> bytes:
    """y = x0 / x1."""
    nodes = [helper.make_node("Split", ["x"], ["a", "b"], "halves", axis=1, num_outputs=2),
             helper.make_node("Div", ["a", "b"], ["y"], "ratio")]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def test_a_property_and_a_network_are_explained():
    asked = problem("hat", 0.1)
    assert "Relu" in text_of(asked) and "inputs vary" in text_of(asked)
    assert "input" in text_of(asked.network) and "output" in text_of(asked.network)


def test_dangers_are_named_before_any_search():
    network = from_bytes(quotient())
    text = text_of(Problem(network, linear([0, -1], [1, 1], [[-1.0]], [5.0])))
    assert "danger: node 'y" in text and "domain" in text and "no bounds on the whole box" in text
    assert "danger" not in text_of(Problem(network, linear([0, 1], [1, 2], [[-1.0]], [5.0])))


def test_every_port_of_a_network_is_listed():
    assert "input        x [1, 2]" in text_of(from_bytes(quotient()))
