"""The experiment finds nothing wrong, and finds checkers that were broken on purpose."""

from dataclasses import replace

from benchmarks.soundness import proofs
from benchmarks.soundness.mutations import Parts
from benchmarks.soundness.proof_subjects import subject
from benchmarks.soundness.proofs import PER_PROOF, accepted, run
from benchmarks.soundness.tally import Recorder
from verify.certificate.checker import bounds
from verify.certificate.checker.cli import main

SEED = 10_000
NUMBERS = [n for n in range(40) if subject(n, SEED) is not None][:8]


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


def test_arithmetics_that_disagree_are_caught(monkeypatch):
    s, honest = subject(NUMBERS[0], SEED), proofs.check

    def only_float64(network, spec, container, arithmetic):
        if arithmetic == "dyadic":
            raise proofs.Rejected("no")
        return honest(network, spec, container, arithmetic)

    assert not proofs.both_arithmetics(s, Recorder())
    monkeypatch.setattr(proofs, "check", only_float64)
    assert "exact arithmetic" in proofs.both_arithmetics(s, Recorder())


def test_errors_of_the_checker_are_counted(monkeypatch):
    def fails(*args):
        raise ValueError("a bug")

    s = subject(NUMBERS[0], SEED)
    monkeypatch.setattr(proofs, "check", fails)
    record = Recorder()
    assert not accepted(s.network, s.spec, s.proof, record)
    assert record.result().counts == {"internal error ValueError": 1}
