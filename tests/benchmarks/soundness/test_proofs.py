"""The experiment finds nothing wrong, and finds checkers that were broken on purpose."""

from dataclasses import replace

from benchmarks.soundness import proofs
from benchmarks.soundness.mutations import Parts
from benchmarks.soundness.proofs import PER_PROOF, accepted, border, run, subject
from benchmarks.soundness.tally import Recorder
from tests.soundness.exact import ExactNetwork, find_unsafe
from tests.soundness.random_networks import problem
from verify.certificate.checker import bounds
from verify.certificate.checker.cli import main
from verify.onnx_import import from_bytes
from verify.vnnlib import parse_spec

SEED = 10_000
NUMBERS = [n for n in range(40) if subject(n, SEED) is not None][:8]


def test_subjects_are_proofs_with_violated_neighbours():
    assert len(NUMBERS) == 8
    for number in NUMBERS:
        s = subject(number, SEED)
        assert accepted(s.network, s.spec, s.proof, Recorder())
        assert s.neighbours
        for network, spec in s.neighbours:
            exact = ExactNetwork.of(from_bytes(network).graph)
            assert find_unsafe(exact, parse_spec(spec.decode())) is not None
        own = ExactNetwork.of(from_bytes(s.network).graph)
        assert find_unsafe(own, parse_spec(s.spec.decode())) is None


def test_the_border_is_tight():
    p = next(p for p in map(problem, range(20)) if p.unsafe is None)
    safe, violated = border(p)
    assert find_unsafe(p.exact, safe) is None and find_unsafe(p.exact, violated) is not None


def test_nothing_is_wrong():
    tally = run(range(NUMBERS[0] * PER_PROOF, (NUMBERS[3] + 1) * PER_PROOF), SEED)
    assert tally.tried == 4 * PER_PROOF and not tally.wrong
    assert tally.counts["proofs"] == 4 and "proofs that the checker rejects" not in tally.counts


def test_the_command_says_the_same(tmp_path):
    s = subject(NUMBERS[0], SEED)
    paths = [tmp_path / name for name in ("net.onnx", "spec.vnnlib", "proof")]
    for data, code in ((s.proof, 0), (s.proof[:-1], 1), (replace(s.parts, body=s.parts.body[:-1]).assemble(), 1)):
        for path, content in zip(paths, (s.network, s.spec, data), strict=True):
            path.write_bytes(content)
        assert main([str(path) for path in paths]) == code
        assert accepted(s.network, s.spec, data, Recorder()) == (code == 0)


def wrong_with(number: int) -> tuple:
    return run(range(number * PER_PROOF, (number + 1) * PER_PROOF), SEED).wrong


def test_a_checker_that_forgets_the_digest_is_caught(monkeypatch):
    honest = proofs.open_container

    def forgetful(data: bytes):
        try:
            return honest(Parts.of(data).assemble())
        except (ValueError, IndexError) as error:
            raise proofs.Rejected("no container") from error

    monkeypatch.setattr(proofs, "open_container", forgetful)
    monkeypatch.setattr(proofs, "damaged", lambda proof, rng: ("the digest", proof[:-1] + bytes([proof[-1] ^ 1])))
    assert any("digest" in finding.what for finding in wrong_with(NUMBERS[0]))


def test_a_checker_with_optimistic_bounds_is_caught(monkeypatch):
    honest = bounds.push

    def optimistic(*args):
        found = honest(*args)
        return replace(found, offset=found.offset + 0.05 * abs(found.offset))

    monkeypatch.setattr(bounds, "push", optimistic)
    found = [finding for number in NUMBERS for finding in wrong_with(number)]
    assert any("violated neighbour" in finding.what for finding in found)
    assert {"network.onnx", "spec.vnnlib", "proof"} == set(found[0].files)


def test_errors_of_the_checker_are_counted(monkeypatch):
    def fails(*args):
        raise ValueError("a bug")

    s = subject(NUMBERS[0], SEED)
    monkeypatch.setattr(proofs, "check", fails)
    record = Recorder()
    assert not accepted(s.network, s.spec, s.proof, record)
    assert record.result().counts == {"internal error ValueError": 1}
