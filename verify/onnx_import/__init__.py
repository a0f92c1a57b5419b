""".onnx -> `Graph`: load, check, fold constants, translate operator by operator, simplify, compare."""

from verify.onnx_import.compare import compare_with_onnxruntime
from verify.onnx_import.model import Network, from_bytes, load_network
from verify.onnx_import.module import from_module
from verify.onnx_import.part import Part, Port
from verify.onnx_import.simplify import simplify

__all__ = [
    "Network", "Part", "Port", "compare_with_onnxruntime", "from_bytes", "from_module", "load_network", "simplify",
]
