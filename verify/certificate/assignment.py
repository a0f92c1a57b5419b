"""A counterexample by the names that a property declares: the assignments of VNN-LIB 2.0, section 5.3.1.

Text: for every declared variable, in the order of the declarations, a line `NAME TYPE [d,...]`, then its values in
row-major order, one a line, as plain decimals with the fewest digits that give the same number of the model's type.
Files: one serialised ONNX tensor NAME.pb for each variable.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from onnx import numpy_helper

from verify.certificate.witness import witness_text, write_text
from verify.errors import InvalidInput
from verify.interface import HIDDEN, INPUT, OUTPUT, Interface, Tensor
from verify.onnx_import.model import Network
from verify.query import Spec
from verify.result import Witness


def counterexample_text(spec: Spec, network: Network, witness: Witness) -> str:
    """The witness in the form that belongs to the property: assignments of VNN-LIB 2.0, or VNN-COMP's list."""
    return witness_text(witness) if spec.interface is None else assignment_text(spec.interface, network, witness)


def write_counterexample(path: Path, spec: Spec, network: Network, witness: Witness) -> None:
    """Writes `counterexample_text`."""
    write_text(path, counterexample_text(spec, network, witness))


def assignments(interface: Interface, network: Network, witness: Witness) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Every declared variable with its value, in the shape it is declared with and the type that the model has."""
    declared = {"X": witness.x[list(interface.wiring)], "Y": witness.y}
    types = {}
    for network_, part in zip(interface.networks, network.parts, strict=True):
        for roles, ports in (((INPUT,), part.inputs), ((OUTPUT, HIDDEN), part.outputs)):
            types |= {tensor.name: port.dtype for tensor, port in zip(network_.of(*roles), ports, strict=True)}
    for tensor in interface.tensors:
        kind, begin, end = interface.spans[tensor.name]
        yield tensor, declared[kind][begin:end].astype(types[tensor.name]).reshape(tensor.shape)


def assignment_text(interface: Interface, network: Network, witness: Witness) -> str:
    """The assignments as text, without the line `sat`."""
    lines = []
    for tensor, values in assignments(interface, network, witness):
        lines.append(f"{tensor.name} {tensor.dtype} [{','.join(map(str, tensor.shape))}]")
        lines += [np.format_float_positional(value, unique=True, trim="0") for value in values.reshape(-1)]
    return "\n".join(lines) + "\n"


def write_assignments(folder: str | Path, spec: Spec, network: Network, witness: Witness) -> None:
    """One NAME.pb for each variable, X.pb and Y.pb where none is declared; the folder is made where it is missing."""
    folder = Path(folder)
    if spec.interface is None:
        named = {"X": witness.x.reshape(network.input_shape), "Y": witness.y.reshape(network.output_shape)}
    else:
        named = {tensor.name: values for tensor, values in assignments(spec.interface, network, witness)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, values in named.items():
            (folder / f"{name}.pb").write_bytes(numpy_helper.from_array(values, name).SerializeToString())
    except OSError as error:
        raise InvalidInput(f"{folder}: cannot write the assignments: {error.strerror or error}") from error
