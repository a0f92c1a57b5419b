"""The command line as a process: streams, exit codes, files, time. The engine is a fake, the process is real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

FAKE = '''
import sys, types
from dataclasses import dataclass

def module(name, **members):
    sys.modules[name] = made = types.ModuleType(name)
    made.__dict__.update(members)
    return made

@dataclass(frozen=True)
class Plan:
    text: str
    def lines(self):
        return [self.text, "second"]

def solve(problem, *, budget, method=None, device="", dtype="", seed=0, on_progress=None):
    import os, time, signal
    import numpy as np
    from verify.errors import BrokenInvariant, InvalidInput, UnsupportedOperator
    from verify.result import ClosedTree, Reason, Result, Stats, Witness
    stats = Stats(0.5, 3, -1.0, method, {"search": 0.25})
    if on_progress is not None:
        raise AssertionError("nobody watches a pipe")
    print("noise from a library", file=sys.stderr)
    def hang():
        while True:
            time.sleep(0.01)
    acts = {
        "holds": lambda: Result.verified(ClosedTree(1, 0.5), stats=stats),
        "violated": lambda: Result.falsified(Witness(np.zeros(1), np.ones(1), 0.0), stats=stats),
        "unknown": lambda: Result.unknown(Reason.INCOMPLETE, "bounds too weak"),
        "late": lambda: Result.unknown(Reason.TIMEOUT),
        "memory": lambda: Result.unknown(Reason.MEMORY),
        "hang": hang,
        "crash": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "bug": lambda: 1 / 0,
        "invariant": lambda: (_ for _ in ()).throw(BrokenInvariant("crossed bounds at node a")),
        "operator": lambda: (_ for _ in ()).throw(UnsupportedOperator("node n: operator Foo is not supported")),
        "allocate": lambda: (_ for _ in ()).throw(MemoryError()),
    }
    method = method or os.environ["ACT"]
    if method not in acts:
        raise InvalidInput(f"unknown method {method!r}")
    return acts[method]()

import verify
verify.engines = module("verify.engines", names=lambda: ("holds", "violated"))
verify.runtime = module("verify.runtime", configure=lambda threads: None)
class Problem:
    spec = network = None

module("verify.pipeline", load_problem=lambda net, spec, semantics: Problem(), solve=solve)
module("verify.explain",
       explain=lambda what, semantics: Plan("both" if isinstance(what, Problem) else "network"))
module("verify.onnx_import")
module("verify.onnx_import.model", load_network=lambda net: net)
module("verify.certificate")
module("verify.certificate.assignment",
       write_counterexample=lambda path, *rest: path.write_text("((X_0 0.0) (Y_0 1.0))"),
       counterexample_text=lambda *rest: "X real [1]\\n0.0\\nY real [1]\\n1.0\\n",
       write_assignments=lambda folder, *rest: folder.mkdir())
from verify.cli import main
main()
'''


@pytest.fixture
def verify(tmp_path):
    (tmp_path / "net.onnx").write_text("network")
    (tmp_path / "spec.vnnlib").write_text("property")

    def call(*arguments: str, act: str = "") -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-c", FAKE, *arguments], capture_output=True, text=True, cwd=tmp_path,
                              env={**os.environ, "ACT": act})

    return call


@pytest.mark.parametrize(("method", "stdout", "code"), [
    ("holds", "unsat\n", 0), ("violated", "sat\n", 1), ("unknown", "unknown\n", 3), ("late", "timed-out\n", 4),
    ("memory", "unknown\n", 6), ("crash", "unknown\n", 6), ("allocate", "unknown\n", 6),
    ("bug", "", 70), ("invariant", "", 70), ("operator", "", 5), ("no-such-method", "", 2),
])
def test_verdict_and_exit_code(verify, method, stdout, code):
    done = verify("run", "net.onnx", "spec.vnnlib", "--method", method)
    assert (done.stdout, done.returncode) == (stdout, code), done.stderr
    assert "Traceback" not in done.stderr
    if not stdout:
        assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1


def test_a_hanging_run_ends_at_its_limit_with_one_verdict(verify, tmp_path):
    done = verify("run", "net.onnx", "spec.vnnlib", "--method", "hang", "--timeout", "0.5", "--json", "out.json")
    assert (done.stdout, done.returncode) == ("timed-out\n", 4)
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["verdict"] == "timed-out" and content["tree"] is None


def test_traceback_on_request(verify):
    done = verify("run", "net.onnx", "spec.vnnlib", "--method", "bug", "-v")
    assert "ZeroDivisionError" in done.stderr and "Traceback" in done.stderr and done.stdout == ""


def test_quiet_prints_the_verdict_only(verify):
    done = verify("run", "net.onnx", "spec.vnnlib", "--method", "holds", "-q")
    assert (done.stdout, done.stderr) == ("unsat\n", "noise from a library\n")


def test_verbose_prints_phases(verify):
    assert "search: 0.250 s" in verify("run", "net.onnx", "spec.vnnlib", "--method", "holds", "-v").stderr


def test_files_of_a_counterexample(verify, tmp_path):
    verify("run", "net.onnx", "spec.vnnlib", "--method", "violated", "--witness", "w.txt", "--json", "out.json")
    assert (tmp_path / "w.txt").read_text().startswith("((X_0")
    content = json.loads((tmp_path / "out.json").read_text())
    assert (content["verdict"], content["method"]) == ("sat", "violated")
    assert content["witness"]["outputs"]["onnxruntime"] == [1.0]


@pytest.mark.parametrize("method", ["holds", "crash", "operator"])
def test_files_of_an_earlier_run_do_not_stay(verify, tmp_path, method):
    for name in ("w.txt", "out.json"):
        (tmp_path / name).write_text("old")
    verify("run", "net.onnx", "spec.vnnlib", "--method", method, "--witness", "w.txt", "--json", "out.json")
    assert not (tmp_path / "w.txt").exists()
    if method == "operator":
        assert not (tmp_path / "out.json").exists()
    else:
        assert json.loads((tmp_path / "out.json").read_text())["schema"] == 2


@pytest.mark.parametrize(("arguments", "message"), [
    ((), "Missing command"), (("bogus",), "No such command 'bogus'"), (("run", "net.onnx"), "Missing argument"),
    (("run", "nowhere.onnx", "spec.vnnlib"), "network file not found: nowhere.onnx"),
    (("info", "net.onnx", "nowhere"), "property file not found: nowhere"),
    (("run", "net.onnx", "spec.vnnlib", "--timeout", "soon"), "--timeout"),
    (("run", "net.onnx", "spec.vnnlib", "--timeout", "-1"), "--timeout takes a positive number"),
    (("run", "net.onnx", "spec.vnnlib", "--memory-limit", "lots"), "such as 512M or 8G"),
    (("run", "net.onnx", "spec.vnnlib", "--json", "net.onnx"), "would overwrite the input"),
])
def test_usage_errors_are_one_line(verify, arguments, message):
    done = verify(*arguments)
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and message in done.stderr


def test_info_takes_a_network_with_or_without_a_property(verify):
    assert verify("info", "net.onnx").stdout == "network\nsecond\n"
    assert verify("info", "net.onnx", "spec.vnnlib").stdout == "both\nsecond\n"


def test_methods_and_version(verify):
    assert "holds" in verify("methods").stdout.split()
    assert verify("--version").stdout == "0.1.0\n" and verify("--name").stdout == "verify\n"


def test_a_closed_output_is_no_traceback(tmp_path):
    (tmp_path / "net.onnx").write_text("network")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", FAKE, "run", "net.onnx", "net.onnx", "--method", "holds", "-q"],
                          stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    os.close(writer)
    assert done.returncode == 70
    assert done.stderr.splitlines()[-1] == "error: cannot write to standard output: Broken pipe"
    assert "Traceback" not in done.stderr


def test_a_bug_of_the_command_line_itself_does_not_look_like_a_verdict(verify, tmp_path):
    script = FAKE.replace("main()\n", "import verify.cli\nverify.cli.RunOptions = None\nmain()\n")
    done = subprocess.run([sys.executable, "-c", script, "run", "net.onnx", "spec.vnnlib"], capture_output=True,
                          text=True, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("", 70) and done.stderr.startswith("error: internal error")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_has_no_verdict(tmp_path, number, code):
    for name in ("net.onnx", "spec.vnnlib"):
        (tmp_path / name).write_text("")
    # Where the tests run in the background, Ctrl-C is ignored, and a child inherits that.
    script = f"import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{FAKE}"
    process = subprocess.Popen([sys.executable, "-c", script, "run", "net.onnx", "spec.vnnlib", "--method", "hang"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stderr.readline() == "noise from a library\n"  # the work is under way
    process.send_signal(number)
    stdout, stderr = process.communicate()
    assert (stdout, process.returncode) == ("", code) and "Traceback" not in stderr


COMPANIONS = '''
import importlib.metadata, sys
from types import SimpleNamespace

def hello(name: str = "you") -> int:
    """Greets."""
    print("hello", name)
    return 3

def broken():
    raise ImportError("no module named numbers_of_old")

entries = {"good": SimpleNamespace(name="hello", value="their.cli:hello", load=lambda: hello),
           "clash": SimpleNamespace(name="run", value="their.cli:run", load=lambda: hello),
           "broken": SimpleNamespace(name="hello", value="their.cli:hello", load=broken)}
chosen = entries[sys.argv.pop(1)]
importlib.metadata.entry_points = lambda group: [chosen] if group == "verify.commands" else []
from verify.cli import main
main()
'''


@pytest.mark.parametrize(("entry", "arguments", "code", "says"), [
    ("good", ["hello", "--name", "all"], 3, "hello all"),
    ("good", ["--help"], 0, "Greets."),
    ("clash", ["hello"], 70, "error: an installed package brings a command with a built-in name"),
    ("clash", ["methods"], 0, "portfolio"),  # a built-in command does not look at the others
    ("broken", ["hello"], 2, "error: the command 'hello' (their.cli:hello) cannot be loaded: no module named numbers"),
])
def test_installed_packages_bring_commands(entry, arguments, code, says):
    done = subprocess.run([sys.executable, "-c", COMPANIONS, entry, *arguments], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert says in done.stdout + done.stderr


@pytest.mark.parametrize(("act", "stdout", "code"), [
    ("holds", "unsat\n", 0), ("violated", "sat\nX real [1]\n0.0\nY real [1]\n1.0\n", 0), ("unknown", "unknown\n", 0),
    ("late", "timed-out\n", 0), ("memory", "unknown\n", 0), ("operator", "", 5), ("bug", "", 70),
])
def test_the_standard_command_answers(verify, act, stdout, code):
    """Any answer is a success; whatever is no answer is an error."""
    done = verify("verify", "spec.vnnlib", "--network", "f=net.onnx", act=act)
    assert (done.stdout, done.returncode) == (stdout, code), done.stderr
    assert stdout or "error: " in done.stderr


def test_the_standard_command_stops_in_time_and_writes_files(verify, tmp_path):
    done = verify("verify", "spec.vnnlib", "--network", "f=net.onnx", "--timeout", "1", act="hang")
    assert (done.stdout, done.returncode) == ("timed-out\n", 0)
    done = verify("verify", "spec.vnnlib", "--network", "f=net.onnx", "--serialise-assignments", "out", act="violated")
    assert (done.stdout, done.returncode) == ("sat\n", 0) and (tmp_path / "out").is_dir()


@pytest.mark.parametrize(("arguments", "message"), [
    (("spec.vnnlib",), "network"), (("spec.vnnlib", "--network", "net.onnx"), "--network takes NAME=FILE"),
    (("spec.vnnlib", "--network", "f=gone.onnx"), "network f file not found"),
    (("gone.vnnlib", "--network", "f=net.onnx"), "query file not found"),
    (("spec.vnnlib", "--network", "f=net.onnx", "--network", "f=net.onnx"), "--network f is given twice"),
    (("spec.vnnlib", "--network", "f=net.onnx", "--timeout", "0"), "--timeout takes a positive number"),
    (("spec.vnnlib", "--network", "f=net.onnx", "--semantics", "float64"), "--semantics takes auto, real, float32"),
    (("spec.vnnlib", "--network", "f=net.onnx", "--serialise-assignments", "net.onnx"), "takes a folder"),
])
def test_the_standard_command_refuses_by_option(verify, arguments, message):
    done = verify("verify", *arguments, act="holds")
    assert (done.stdout, done.returncode) == ("", 2) and message in done.stderr


def test_supports_prints_one_item_a_line(verify):
    assert verify("supports", "--vnnlib-versions").stdout == "1.0\n2.0\n"
    assert verify("supports", "--hidden-node-theories").stdout == "NH\nH\n"
    assert "unknown capability '--colours'" in verify("supports", "--colours").stderr
    assert verify("supports").returncode == 2
