"""The rules of the code base that no reviewer should have to check by eye: imports, test files, state, printing."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("verify", "bab", "training", "pruning", "grafting", "benchmarks")

# Layers from the bottom up; a module may import from its own layer and from lower ones. Longest prefix wins.
LAYERS = {
    "verify": 0, "verify.errors": 0, "verify.progress": 0, "verify.budget": 0, "verify.result": 0, "verify.runtime": 0,
    "verify.options": 1, "verify.terminal": 1, "verify.sets": 1, "verify.supervise": 1, "verify.report": 2,
    "verify.ops": 2, "verify.graph": 3, "verify.linear_form": 3, "verify.query": 4,
    "verify.interface": 4, "verify.monomials": 4,
    "verify.onnx_import": 5, "verify.vnnlib": 5, "verify.properties": 5, "verify.certificate": 6, "verify.semantics": 6,
    "verify.relaxations": 5, "verify.bounds": 6, "verify.attack": 7, "verify.lp": 7,
    "bab": 8, "verify.engines": 9, "verify.pipeline": 10, "verify.certified": 11, "verify.explain": 11,
    "verify.api": 12, "verify.cli": 13,
    "verify.standard": 12, "verify.statements": 6,
    "verify.certificate.checker": 0, "verify.__main__": 14, "verify.live": 7, "verify.live_call": 7,
    "verify.live_ops": 7, "verify.pairs": 11, "verify.specs": 12,
    "training": 15, "pruning": 16, "grafting": 16, "benchmarks": 17,
}
# Only the composition root and the engines it composes know the search.
MAY_IMPORT_BAB = ("verify.pipeline", "verify.engines", "bab")
MAY_PRINT = ("verify.cli", "verify.terminal", "verify.certificate.checker.cli", "benchmarks.run", "benchmarks.compare",
             "benchmarks.startup", "benchmarks.proofs", "benchmarks.soundness.__main__", "benchmarks.structured_speed",
             "benchmarks.companions.study", "training.cli", "training.compare_cli", "pruning.cli", "grafting.cli",
             "verify.pairs.cli", "benchmarks.pairs")
# The laboratory runs at length what these define: networks with known truth, laws, exact enumeration.
LABORATORY, ITS_SUBJECTS = "benchmarks.soundness", ("tests.soundness", "tests.verify.bounds", "tests.conformance")
# Process boundary: an exception of any kind must end as an error, not as a verdict.
MAY_CATCH_ALL = ("verify.supervise", "verify.certificate.checker.cli")
# Filled once at import by decorators, read-only afterwards; each refuses duplicates.
REGISTRIES = {
    "verify.onnx_import.registry": "ONNX operator -> importer function",
    "verify.engines.registry": "engine name -> factory",
    "verify.engines": "engine name -> factory",
    "bab.branching": "heuristic name -> heuristic",
}
FROZEN_CALLS = ("MappingProxyType", "frozenset", "tuple")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, ast.Module]:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {name_of(path): ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in files}


def imports_of(name: str, *, top_only: bool) -> set[str]:
    """Modules of ours that `name` imports (at module level only: typing-only and lazy imports make no cycle)."""
    tree = modules()[name]
    nodes = top_level(tree) if top_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            # `from package import module` reads the module, not the package.
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in modules() else node.module)
    return {module for module in found if module in modules()} - {name}


def top_level(tree: ast.Module) -> list[ast.stmt]:
    """Statements that run at import, without those under `if TYPE_CHECKING`."""
    found: list[ast.stmt] = []
    stack = list(tree.body)
    while stack:
        node = stack.pop()
        found.append(node)
        if isinstance(node, ast.If) and ast.unparse(node.test) != "TYPE_CHECKING":
            stack += [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            stack += [*node.body, *node.orelse, *node.finalbody, *(s for h in node.handlers for s in h.body)]
    return found


def layer(name: str) -> int:
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        if (prefix := ".".join(parts[:end])) in LAYERS and (end > 1 or prefix != "verify" or len(parts) == 1):
            return LAYERS[prefix]
    raise AssertionError(f"{name} has no layer: add it to LAYERS in {Path(__file__).name}")


def test_imports_point_downwards():
    wrong = [f"{name} (layer {layer(name)}) imports {other} (layer {layer(other)})"
             for name in modules() for other in imports_of(name, top_only=True) if layer(other) > layer(name)]
    assert not wrong, "\n".join(wrong)


def test_only_the_composition_root_imports_the_search():
    wrong = [f"{name} imports {other}" for name in modules() for other in imports_of(name, top_only=False)
             if other.split(".")[0] == "bab" and not name.startswith(MAY_IMPORT_BAB)]
    assert not wrong, "\n".join(wrong)


def test_producers_are_not_imported():
    """Neither by `verify` and `bab`, nor by each other against their order: training <- pruning, grafting."""
    upper = {"training", "pruning", "grafting", "benchmarks", "tests"}
    users = {"training": {"training"}, "pruning": {"training", "pruning"}, "grafting": {"training", "grafting"},
             "benchmarks": upper - {"tests"}}

    def targets(name: str, node: ast.Import | ast.ImportFrom) -> set[str]:
        found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
        allowed = ITS_SUBJECTS if name.startswith(LABORATORY) else ()
        return {target.split(".")[0] for target in found if not target.startswith(tuple(allowed))}

    wrong = [f"{name}: {ast.unparse(node)}" for name, tree in modules().items() for node in ast.walk(tree)
             if isinstance(node, (ast.Import, ast.ImportFrom))
             and (upper - users.get(name.split(".")[0], set())) & targets(name, node)]
    assert not wrong, "\n".join(wrong)


def test_no_import_cycles():
    state: dict[str, str] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if state.get(name) == "done":
            return
        assert state.get(name) != "open", "import cycle: " + " -> ".join((*trail[trail.index(name):], name))
        state[name] = "open"
        for other in sorted(imports_of(name, top_only=True)):
            visit(other, (*trail, name))
        state[name] = "done"

    for name in modules():
        visit(name, ())


def has_code(tree: ast.Module) -> bool:
    """More than docstring, imports and `__all__`: a table of contents needs no test of its own."""
    plain = (ast.Import, ast.ImportFrom)
    return any(not isinstance(node, plain) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
               and not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
               for node in tree.body)


@pytest.mark.parametrize("name", [name for name, tree in modules().items() if has_code(tree)])
def test_every_module_has_its_test_file(name):
    """verify/x/y.py -> tests/verify/x/test_y.py; a package's own code -> test_init.py or test_<package>.py in it.

    The importers verify/onnx_import/ops/<op>.py may share tests/verify/onnx_import/ops/test_ops.py: their law (equal to
    onnxruntime) is one test over a table of cases.
    """
    parts = name.split(".")
    folder = ROOT.joinpath("tests", *parts[:-1])
    wanted = [folder / f"test_{parts[-1]}.py"]
    inside = ROOT.joinpath("tests", *parts)
    wanted += [inside / "test_init.py", inside / f"test_{parts[-1]}.py"]
    if name.startswith("verify.onnx_import.ops."):
        wanted.append(folder / "test_ops.py")
    assert any(path.exists() for path in wanted), f"no test file for {name}: expected {wanted[0].relative_to(ROOT)}"


def is_mutable(value: ast.expr | None) -> bool:
    literal = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    if isinstance(value, ast.Call):
        return ast.unparse(value.func).split(".")[-1] in ("list", "dict", "set", "defaultdict", "deque", "Counter")
    return isinstance(value, literal)


def test_no_mutable_state_in_modules():
    wrong = []
    for name, tree in modules().items():
        for node in top_level(tree):
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and is_mutable(node.value):
                target = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
                if target != "__all__" and name not in REGISTRIES:
                    wrong.append(f"{name}:{node.lineno} {target} (wrap it: {', '.join(FROZEN_CALLS)})")
        wrong += [f"{name}:{node.lineno} global" for node in ast.walk(tree) if isinstance(node, ast.Global)]
    assert not wrong, "\n".join(wrong)


def test_no_broad_except():
    wrong = [f"{name}:{node.lineno}" for name, tree in modules().items() if name not in MAY_CATCH_ALL
             for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)
             and (node.type is None or {"Exception", "BaseException"} & {n.id for n in ast.walk(node.type)
                                                                         if isinstance(n, ast.Name)})]
    assert not wrong, "\n".join(wrong)


def test_only_the_edge_prints():
    wrong = [f"{name}:{node.lineno}" for name, tree in modules().items() if name not in MAY_PRINT
             for node in ast.walk(tree)
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"]
    assert not wrong, "\n".join(wrong)


def test_files_stay_short():
    long = [f"{path.relative_to(ROOT)}: {lines}" for package in PACKAGES for path in (ROOT / package).rglob("*.py")
            if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400]
    assert not long, "\n".join(long)


def test_importing_the_command_line_loads_nothing_heavy():
    script = "import sys, verify, verify.cli; print(sorted({'torch', 'numpy', 'onnx', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
