"""The command line: names, help and printing. Everything heavy is imported inside the command that needs it.

The first line of standard output of `verify run` and `verify verify` is exactly `sat`, `unsat`, `unknown` or
`timed-out`; everything else (but the counterexample of `verify verify`) goes to standard error. Errors print nothing on
standard output and one line `error: ...` on standard error.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from copy import copy
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from verify import STARTED, __version__, standard
from verify.errors import BrokenInvariant, InvalidInput
from verify.options import RunOptions, help_text, parse_size, require_file
from verify.supervise import Outcome, guarded, supervise

app = typer.Typer(add_completion=False, rich_markup_mode=None,
                  help="Proves or refutes properties of neural networks.")
COMMANDS = "verify.commands"
_UsageError = typer.BadParameter.__mro__[2]  # ClickException, wherever this version of typer keeps it


def main() -> None:
    """The console script `verify`."""
    # Read by the OpenMP runtime when torch is loaded. Threads that wait in a loop take the processor from those they
    # wait for as soon as anything else runs: on a busy two-core machine small matrix products took 50 times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # numpy's matrix products, too: the checker's small ones took six times as long on two threads as on one.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # An exception that reached the interpreter would exit with 1, which means violated.
    code = _print(guarded(_invoke))
    if threading.active_count() > 1:
        # Work that was given up in a thread (no fork here) must not hold the process back.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _invoke() -> Outcome:
    """Runs the command; what it had to say it has printed, unless it ended in an error."""
    try:
        return Outcome(_with_companions(sys.argv[1:])(standalone_mode=False) or 0)
    except _UsageError as error:
        return Outcome(error.exit_code, "", f"error: {' '.join(error.format_message().split())} See verify --help.")
    except (KeyboardInterrupt, typer.Abort):
        return Outcome(130, "", "error: interrupted")


def _with_companions(arguments: list[str]) -> typer.Typer:
    """The application with the commands of installed packages: entry points `verify.commands`, name -> typer function.

    They are looked up only where one of them may be meant: `verify run` does not pay for them."""
    own = {command.name or command.callback.__name__ for command in app.registered_commands}
    if arguments and arguments[0] in own:
        return app
    from importlib.metadata import entry_points

    whole = copy(app)
    whole.registered_commands = list(app.registered_commands)
    for entry in sorted(entry_points(group=COMMANDS), key=lambda entry: entry.name):
        if entry.name in own:
            raise BrokenInvariant(f"an installed package brings a command with a built-in name: {entry.value}")
        try:
            whole.command(entry.name)(entry.load())
        except (ImportError, AttributeError) as error:
            raise InvalidInput(f"the command {entry.name!r} ({entry.value}) cannot be loaded: {error}") from error
    return whole


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


def _name(wanted: bool) -> None:
    if wanted:
        print(standard.NAME)
        raise typer.Exit


@app.callback()
def _application(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print it")] = False,
    name: Annotated[bool, typer.Option("--name", callback=_name, is_eager=True, help="print it")] = False,
) -> None:
    pass


def _opt(name: str, *flags: str):
    return typer.Option(*flags, help=help_text(name))


@app.command()
def run(
    network: Annotated[Path, typer.Argument(help="network: .onnx or .onnx.gz")],
    spec: Annotated[Path, typer.Argument(help="property: .vnnlib or .vnnlib.gz")],
    timeout: Annotated[float | None, _opt("timeout")] = None,
    device: Annotated[str, _opt("device")] = "auto",
    dtype: Annotated[str, _opt("dtype")] = "auto",
    seed: Annotated[int, _opt("seed")] = 0,
    threads: Annotated[int | None, _opt("threads")] = None,
    method: Annotated[str, _opt("method")] = "portfolio",
    witness: Annotated[Path | None, _opt("witness")] = None,
    json: Annotated[Path | None, _opt("json")] = None,
    memory_limit: Annotated[str | None, _opt("memory_limit")] = None,
    semantics: Annotated[str, _opt("semantics")] = "auto",
    proof: Annotated[Path | None, _opt("proof")] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="phases, and tracebacks of errors")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="nothing but the verdict and errors")] = False,
) -> int:
    """Decides a property: sat (violated), unsat (holds), unknown or timed-out."""
    options = RunOptions(network, spec, timeout, device, dtype, seed, threads, method, witness, json,
                         None if memory_limit is None else parse_size(memory_limit), proof, semantics)
    _remove_old(options)
    deadline = STARTED + (math.inf if timeout is None else timeout)
    work = partial(_solve, options, deadline, verbose, quiet)
    outcome = supervise(work, deadline=deadline, memory_limit=options.memory_limit, verbose=verbose)
    _clear_live_line()
    if not outcome.finished:
        _remove_old(options)
        _write_stopped(options, outcome)
    return _print(outcome, quiet)


@app.command()
def info(
    network: Annotated[Path, typer.Argument(help="network: .onnx or .onnx.gz")],
    spec: Annotated[Path | None, typer.Argument(help="property: .vnnlib or .vnnlib.gz")] = None,
    semantics: Annotated[str, _opt("semantics")] = "auto",
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="tracebacks of errors")] = False,
) -> int:
    """Shows shapes, operators, unstable neurons, memory, and the method that `run` would choose."""
    require_file("network", network)
    if spec is not None:
        require_file("property", spec)
    return _print(guarded(partial(_explain, network, spec, semantics), verbose))


@app.command("verify")
def verify_query(
    query: Annotated[Path, typer.Argument(help="query: .vnnlib or .vnnlib.gz")],
    network: Annotated[list[str], typer.Option(metavar="NAME=FILE", help="model of a declared network; one for each")],
    timeout: Annotated[float | None, _opt("timeout")] = None,
    serialise_assignments: Annotated[Path | None, typer.Option(
        metavar="FOLDER", help="write a counterexample here, a file NAME.pb for each variable, instead of printing it")
    ] = None,
    semantics: Annotated[str, _opt("semantics")] = "auto",
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="tracebacks of errors")] = False,
) -> int:
    """Decides a query as the VNN-LIB standard has it: verdict, then the counterexample; 0 whatever the verdict."""
    question = standard.Question(query, standard.parse_networks(network), timeout, serialise_assignments, semantics)
    work = partial(standard.answer, question)
    return _print(standard.settled(supervise(work, deadline=question.deadline, verbose=verbose)))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def supports(context: typer.Context) -> int:
    """Prints what is supported: one of the capabilities of the VNN-LIB standard, such as --onnx-operators."""
    unknown = [word for word in context.args if word.removeprefix("--") not in standard.CAPABILITIES]
    if unknown:
        raise InvalidInput(f"unknown capability {unknown[0]!r}; accepted: "
                           f"{', '.join('--' + name for name in standard.CAPABILITIES)}")
    return _print(standard.supports([word.removeprefix("--") for word in context.args]))


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def check(context: typer.Context) -> int:
    """Checks a proof that `run --proof` wrote. See check --help."""
    # The console script sends `check` to the checker before this module is imported; here it is for --help.
    from verify.certificate.checker.cli import main as run_checker

    return run_checker(context.args)


@app.command()
def methods() -> int:
    """Lists the engines that `run --method` takes."""
    return _print(guarded(_methods))


def _solve(options: RunOptions, deadline: float, verbose: bool, quiet: bool) -> Outcome:
    """The work of `run`, inside the supervised process."""
    from verify import report, runtime, terminal
    from verify.budget import Budget
    from verify.pipeline import load_problem, solve

    runtime.configure(options.threads)
    # Half of the limit: the tensors of the analysis, next to the libraries and the solvers.
    memory = {} if options.memory_limit is None else {"memory_bytes": options.memory_limit // 2}
    budget = Budget(deadline=deadline, start=STARTED, **memory)
    watch = None if quiet else terminal.observer(sys.stderr, STARTED)
    problem = load_problem(options.network, options.spec, options.semantics)
    how = {"method": options.method, "budget": budget, "device": options.device, "dtype": options.dtype,
           "seed": options.seed, "on_progress": watch}
    if options.proof is None:
        result = solve(problem, **how)
    else:
        from verify.certified import Sources, solve_certified

        result = solve_certified(problem, Sources.of(options.network, options.spec, options.proof), **how)
    if options.witness is not None and result.witness is not None:
        from verify.certificate.assignment import write_counterexample

        write_counterexample(options.witness, problem.spec, problem.network, result.witness)
    if options.json is not None:
        report.write_json(options.json, report.document(options, result.as_vnncomp, result))
    lines = [report.summary(result)]
    if verbose:
        lines += [f"  {phase}: {seconds:.3f} s" for phase, seconds in result.stats.phases.items()]
    return Outcome(report.exit_code(result), result.as_vnncomp, "\n".join(lines))


def _methods() -> Outcome:
    from verify import engines

    return Outcome(0, "\n".join(engines.names()))


def _explain(network: Path, spec: Path | None, semantics: str) -> Outcome:
    from verify.explain import explain
    from verify.onnx_import.model import load_network
    from verify.pipeline import load_problem

    plan = explain(load_network(network) if spec is None else load_problem(network, spec, semantics), semantics)
    return Outcome(0, "\n".join(plan.lines()))


def _remove_old(options: RunOptions) -> None:
    """A witness, proof or result of an earlier run, or of a verdict given too late, must not stay behind."""
    for path in (options.witness, options.json, options.proof):
        try:
            if path is not None:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise InvalidInput(f"cannot write {path}: {error.strerror}") from error


def _write_stopped(options: RunOptions, outcome: Outcome) -> None:
    """The JSON of a run that was ended from outside."""
    if options.json is None or not outcome.line:
        return
    from verify import report

    report.write_json(options.json, report.document(
        options, outcome.line, reason=outcome.message.splitlines()[-1].removeprefix("error: "),
        seconds=time.monotonic() - STARTED))


def _print(outcome: Outcome, quiet: bool = False) -> int:
    if outcome.message and not (quiet and outcome.exit_code <= 4):
        print(outcome.message, file=sys.stderr, flush=True)
    try:
        if outcome.line:
            print(outcome.line, flush=True)
    except OSError as error:
        # Handled here because typer would exit with 1, which means violated. Nobody got the verdict; the interpreter
        # must not fail on the same stream again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"error: cannot write to standard output: {error.strerror}", file=sys.stderr, flush=True)
        return 70
    return outcome.exit_code


def _clear_live_line() -> None:
    if sys.stderr.isatty():
        from verify import terminal

        terminal.clear_line(sys.stderr)
