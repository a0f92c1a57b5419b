"""The console script: a check loads neither torch nor typer; everything else goes to the command line as before."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import sys, json
sys.argv = ["verify", *json.loads(sys.argv[1])]
from verify.__main__ import main
try:
    main()
except SystemExit as stop:
    loaded = sorted({"torch", "numpy", "onnx", "scipy", "typer"} & set(sys.modules))
    print("\\n" + json.dumps([stop.code, loaded]))
"""


def run(*arguments: str) -> tuple[int, list[str], str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, json.dumps(arguments)], capture_output=True, text=True,
                          check=True)
    code, loaded = json.loads(done.stdout.splitlines()[-1])
    return code, loaded, done.stdout + done.stderr


def test_help_of_the_check_loads_nothing():
    code, loaded, text = run("check", "--help")
    assert (code, loaded) == (0, []) and "usage: verify check" in text


def test_a_check_loads_numpy_only(tmp_path):
    code, loaded, text = run("check", *[str(tmp_path / name) for name in "abc"])
    assert code == 2 and set(loaded) <= {"numpy"} and "error: cannot read" in text


@pytest.mark.parametrize(("arguments", "words"), [
    (("--help",), ("run", "info", "check", "methods")), (("--version",), ("0.",)),
    (("run", "--help"), ("--timeout",)),
])
def test_everything_else_as_before(arguments, words):
    code, loaded, text = run(*arguments)
    assert code == 0 and "typer" in loaded and "torch" not in loaded
    assert all(word in text for word in words)


def test_the_listed_command_forwards():
    """Whoever calls `verify.cli.main` finds `check` there, too, with its own options and exit codes."""
    script = "import sys; sys.argv = ['verify', 'check', *sys.argv[1:]]; from verify.cli import main; main()"

    def call(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)

    assert call("--help").stdout.startswith("usage: verify check")
    done = call("net", "spec", "proof", "-q", "--sample", "3")
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("error: cannot read")
    assert call("net", "--unknown").returncode == 2
