""".onnx -> `Graph`: load, check, fold constants, translate operator by operator."""

from verify.onnx_import.model import Network, from_bytes, load_network

__all__ = ["Network", "from_bytes", "load_network"]
