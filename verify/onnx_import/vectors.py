"""ONNX's own test cases, as the installed `onnx` builds them, as networks of ours.

One case is one operator with inputs and expected outputs. Any of its inputs may vary, the others become constants;
integers and truth values that vary come from float inputs through a Cast. Opsets outside of ours are moved to the
nearest one: the definitions of these operators did not change. Needed by the tests and by `verify.onnx_import.matrix`.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from verify.onnx_import import elements
from verify.onnx_import.model import Network, from_bytes
from verify.onnx_import.walk import OPSETS

if TYPE_CHECKING:
    from onnx.backend.test.case.test_case import TestCase

# Building the cases of these takes twelve seconds.
SLOW = ("averagepool", "lppool", "maxpool")
WHOLE = (*elements.INTEGERS, elements.BOOL)


@cache
def cases() -> tuple[TestCase, ...]:
    """All cases of standard operators but the slow ones, in order."""
    import onnx.backend.test.case.base as base
    import onnx.backend.test.case.node as node

    # Neither the expanded forms of functions nor the sources for the documentation are wanted; both take long.
    quick = (mock.patch.object(node, "function_testcase_helper", lambda *_, **__: ([], 0)),
             mock.patch.object(base, "process_snippet", lambda _, name, export: (name, "")))
    with quick[0], quick[1], warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in pkgutil.iter_modules(node.__path__):
            if not module.ispkg and module.name not in SLOW:
                importlib.import_module(f"{node.__name__}.{module.name}")
    return tuple(case for case in node._NodeTestCases if case.model.graph.node[0].domain in ("", "ai.onnx"))


def operator(case: TestCase) -> str:
    return case.model.graph.node[0].op_type


def numbers(value: object) -> np.ndarray:
    """A tensor of a case in float64."""
    array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
    return array.astype(np.float64)


def of_tensors(case: TestCase) -> bool:
    """Whether all inputs are tensors of numbers."""
    kinds = [value.type for value in case.model.graph.input]
    return all(k.HasField("tensor_type") and k.tensor_type.elem_type != TensorProto.STRING for k in kinds)


def choices(case: TestCase) -> Iterator[frozenset[str]]:
    """Sets of inputs that may vary: all floats, or whole numbers where there are none; then each one alone."""
    given = zip(case.model.graph.input, case.data_sets[0][0], strict=True)
    types = {value.name: value.type.tensor_type.elem_type for value, content in given if numbers(content).size}
    names = [name for name, kind in types.items() if kind in elements.FLOATS]
    names = names or [name for name, kind in types.items() if kind in WHOLE]
    yield from ([frozenset(names)] if len(names) > 1 else [])
    yield from (frozenset((name,)) for name in names)


def imported(case: TestCase, varying: frozenset[str]) -> tuple[Network, np.ndarray]:
    """The network in which only `varying` inputs vary, and the joint input of the case."""
    model = ModelProto()
    model.CopyFrom(case.model)
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = min(max(entry.version, OPSETS[0]), OPSETS[-1])
    given = dict(zip((value.name for value in case.model.graph.input), case.data_sets[0][0], strict=True))
    graph, casts, kept = model.graph, [], []
    for value in case.model.graph.input:
        element = value.type.tensor_type.elem_type
        if value.name not in varying:
            tensor = given[value.name]
            if not isinstance(tensor, TensorProto):
                tensor = numpy_helper.from_array(np.asarray(tensor))
            graph.initializer.add().CopyFrom(tensor)
            graph.initializer[-1].name = value.name
        elif element in elements.FLOATS:
            kept.append(value)
        else:
            name, shape = f"{value.name}:float", numbers(given[value.name]).shape
            kept.append(helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape))
            casts.append(helper.make_node("Cast", [name], [value.name], to=element))
    for name, content in (("input", kept), ("node", [*casts, *graph.node])):
        graph.ClearField(name)
        getattr(graph, name).extend(content)
    network = from_bytes(model.SerializeToString(), source=case.name)
    point = [numbers(given[port.name.removesuffix(":float")]) for port in network.inputs]
    return network, np.concatenate([part.reshape(-1) for part in point])
