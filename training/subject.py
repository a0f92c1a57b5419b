"""An exported network as it is evaluated: the bytes of the file, its import, onnxruntime's answers."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import onnx
import torch
from torch import Tensor

from training.certify import relu_nodes
from verify.errors import InvalidInput, ShapeMismatch
from verify.graph import Graph
from verify.onnx_import import Network, from_bytes, simplify
from verify.onnx_import.compare import onnxruntime_outputs


@dataclass(frozen=True, eq=False)
class Subject:
    """A network file as it is evaluated: read once."""

    name: str
    content: bytes
    network: Network

    @classmethod
    def load(cls, model: str | Path | bytes, name: str | None = None) -> Subject:
        """From a file or its bytes. Raises `VerifyError`s that name the file."""
        if isinstance(model, bytes):
            return cls(name or "network", model, from_bytes(model, name or "network"))
        path = Path(model)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InvalidInput(f"network {path}: {error.strerror or error}") from error
        return cls(name or path.stem, content, from_bytes(content, str(path), path.parent))

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def parameters(self) -> int:
        """Numbers stored in the file (constants of normalisation and masks included)."""
        graph = onnx.load_model_from_string(self.network.onnx).graph
        kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
        constants = [attribute.t for node in graph.node if node.op_type == "Constant" for attribute in node.attribute]
        return sum(math.prod(tensor.dims) for tensor in (*graph.initializer, *constants) if tensor.data_type in kinds)

    @cached_property
    def relus(self) -> int:
        return sum(math.prod(node.shape) for node in relu_nodes(self.network.graph))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image, the batch axis of 1 excluded."""
        return self.network.input_shape[1:]

    @property
    def classes(self) -> int:
        return math.prod(self.network.output_shape)

    @cached_property
    def graph(self) -> Graph:
        """Simplified, float64, on the CPU."""
        return simplify(self.network.graph)

    def scores(self, x: Tensor) -> Tensor:
        """onnxruntime's, float64 (n, k), for x (n, ...)."""
        if not len(x):
            return torch.zeros(0, self.classes, dtype=torch.float64)
        return onnxruntime_outputs(self.network, x.reshape(-1, *self.network.input_shape)).flatten(1)

    def check_fit(self, x: Tensor, labels: Tensor) -> None:
        """Raises `ShapeMismatch` unless the images and labels are such as the network takes and gives."""
        if math.prod(x.shape[1:]) != math.prod(self.shape):
            raise ShapeMismatch(f"{self.name}: takes inputs of shape {list(self.shape)}, the images have shape "
                                f"{list(x.shape[1:])}")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            raise ShapeMismatch(f"{self.name}: tells {self.classes} classes apart, the labels range from "
                                f"{int(labels.min())} to {int(labels.max())}")
