"""The public names of the importer."""

from __future__ import annotations

from verify import onnx_import


def test_public_names():
    assert set(onnx_import.__all__) == {
        "Network", "Part", "Port", "compare_with_onnxruntime", "from_bytes", "from_module", "load_network", "simplify",
    }
    assert all(hasattr(onnx_import, name) for name in onnx_import.__all__)
