"""Reading a network: file or bytes -> checked ONNX model -> `Network` (graph in float64, bytes for onnxruntime).

Accepted are `.onnx` and `.onnx.gz`, weights in external files, model-local functions (inlined) and opsets 8 to 24.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import GraphProto, ModelProto
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from verify.errors import BrokenInvariant, InvalidInput, VerifyError
from verify.graph import Graph
from verify.onnx_import.part import Part, Port, Wiring
from verify.onnx_import.translate import opset_of, translate

GZIP = b"\x1f\x8b"
# The walk reports unknown operators together with all other blockers, and inputs without a shape by name.
LEFT_TO_THE_WALK = ("No Op registered", "Field 'shape' of 'type' is required but missing")
LFS_POINTER = b"version https://git-lfs"


__all__ = ["Network", "Part", "Port", "from_bytes", "load_network"]


@dataclass(frozen=True, eq=False)
class Network:
    """An imported network, of one model or of several joined ones. `graph` is not simplified.

    `declared` is the same graph with the roundings that a float32 execution of the file's operators may make.
    `parts` are the models, with their inputs and outputs in the order in which the graph's flat input and output hold
    them (`verify.onnx_import.part`); `wiring` tells where inputs of them are one entry of the graph's input.
    """

    graph: Graph
    parts: tuple[Part, ...]
    source: str
    opset: int
    operators: Counter[str]
    declared: Graph
    wiring: Wiring = None

    @property
    def inputs(self) -> tuple[Port, ...]:
        return tuple(port for part in self.parts for port in part.inputs)

    @property
    def outputs(self) -> tuple[Port, ...]:
        return tuple(port for part in self.parts for port in part.outputs)

    @property
    def onnx(self) -> bytes:
        """The model, where there is one."""
        if len(self.parts) != 1:
            raise BrokenInvariant(f"{self.source} has {len(self.parts)} models, each with bytes of its own")
        return self.parts[0].onnx

    @property
    def input_name(self) -> str:
        return ", ".join(port.name for port in self.inputs)

    @property
    def double(self) -> bool:
        """Whether the network computes in float64, as far as its inputs tell; otherwise its arithmetic is float32."""
        return any(port.double for port in self.inputs)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.graph.input.shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.graph[self.graph.output].shape


def load_network(path: str | Path) -> Network:
    """Reads a `.onnx` or `.onnx.gz` file. Raises `InvalidInput` (unreadable) or `UnsupportedOperator` by name."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror or error})") from error
    return from_bytes(data, source=str(path), directory=path.parent)


def from_bytes(data: bytes, source: str = "bytes", directory: str | Path | None = None) -> Network:
    """Reads a serialised (possibly gzipped) model; `directory` is where external weight files are looked for."""
    try:
        data = _decompressed(data)
        model = _parsed(data)
        if _load_external(model, directory):
            data = model.SerializeToString()
        model = _checked(model)
        found = translate(model)
    except EncodeError as error:
        raise InvalidInput(f"{source}: with its external weights the model exceeds 2 GB, the limit") from error
    except VerifyError as error:
        raise type(error)(f"{source}: {error}") from error
    return Network(
        found.graph.over_reals(), (Part("", data, found.inputs, found.outputs),), source, opset_of(model),
        Counter(_operators(model.graph)), found.graph,
    )


def _operators(graph: GraphProto) -> Iterator[str]:
    """The operators of all nodes, those of subgraphs included."""
    for node in graph.node:
        yield node.op_type
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _operators(inner)


def _decompressed(data: bytes) -> bytes:
    try:
        # Some published files are compressed twice.
        while data.startswith(GZIP):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"broken or truncated gzip data ({error})") from error
    if not data:
        raise InvalidInput("the file is empty; an ONNX model is expected")
    if data.startswith(LFS_POINTER):
        raise InvalidInput("this is a git-lfs pointer, not the model itself; `git lfs pull` fetches it")
    return data


def _parsed(data: bytes) -> ModelProto:
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise InvalidInput("not an ONNX model, or a truncated one") from error
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise InvalidInput("not an ONNX model, or a truncated one (it holds no graph)")
    return model


def _load_external(model: ModelProto, directory: str | Path | None) -> bool:
    """Reads weights kept in other files into the model; true when there were any."""
    external = [tensor for tensor in model.graph.initializer if uses_external_data(tensor)]
    if not external:
        return False
    names = sorted({entry.value for tensor in external for entry in tensor.external_data if entry.key == "location"})
    if directory is None:
        raise InvalidInput(f"the weights are in external files {names}; load the model from its path")
    for name in names:
        if not (Path(directory) / name).is_file():
            raise InvalidInput(f"the external weight file {name!r} is missing (looked for in {directory})")
    try:
        load_external_data_for_model(model, str(directory))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise InvalidInput(f"the external weights {names} cannot be read ({_line(error)})") from error
    return True


def _checked(model: ModelProto) -> ModelProto:
    """The model with functions inlined, accepted by the ONNX checker where the operators are standard ones."""
    opset_of(model)
    if model.functions:
        from onnx.inliner import inline_local_functions

        model = inline_local_functions(model)
    # Before IR version 4 every initialiser had to be listed as an input; exporters did not always do so.
    if model.ir_version < 4:
        model.ir_version = 4
    # Runtimes accept outputs without a shape, and the walk computes it; the checker does not, and looks no further.
    for value in model.graph.output:
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        if not any(allowed in str(error) for allowed in LEFT_TO_THE_WALK):
            raise InvalidInput(f"the ONNX checker refuses the model: {_line(error)}") from error
    except ValueError as error:
        raise InvalidInput(f"the ONNX checker refuses the model: {_line(error)}") from error
    return model


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
