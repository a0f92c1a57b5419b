"""The checker stands alone: the standard library, numpy, and nothing of the project that it could be wrong with."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
PACKAGE = "verify.certificate.checker"
FILES = sorted((ROOT / PACKAGE.replace(".", "/")).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_imports_only_the_standard_library_numpy_and_itself(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            top = name.split(".")[0]
            assert top in sys.stdlib_module_names or top == "numpy" or (name + ".").startswith(PACKAGE + "."), name
        assert not (isinstance(node, ast.Name) and node.id in ("__import__", "eval", "exec"))


def test_reading_a_network_loads_nothing_else():
    script = (
        "import sys\n"
        f"from {PACKAGE}.network import load_network\n"
        "load_network(open('examples/digits_conv.onnx', 'rb').read())\n"
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'typer', 'rich', 'scipy', 'google'} & set(sys.modules)))\n"
        f"print([m for m in sys.modules if m.startswith('verify.') and not '{PACKAGE}.'.startswith(m + '.')\n"
        f"       and not m.startswith('{PACKAGE}')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
