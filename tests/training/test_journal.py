"""A journal survives an interruption at any byte."""

import pytest
import torch

from training.journal import Journal, image_keys, key_of
from verify.errors import InvalidInput


def test_results_are_found_again(tmp_path):
    path = tmp_path / "deep" / "journal.jsonl"
    journal = Journal(path)
    journal.put("a", {"x": 1.5})
    journal.put("b", None)
    journal.put("a", [2])
    again = Journal(path)
    assert again.get("a") == [2] and again.get("b") is None and again.get("c") is None


def test_a_line_that_was_cut_off_is_ignored_and_replaced(tmp_path):
    path = tmp_path / "journal.jsonl"
    whole = Journal(path)
    for k in range(3):
        whole.put(f"k{k}", k)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        found = Journal(path)
        found.put("new", 1)
        again = Journal(path)
        assert again.get("new") == 1
        assert [again.get(f"k{k}") for k in range(3)] == [found.get(f"k{k}") for k in range(3)]


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text("name,value\n1,2\n")
    with pytest.raises(InvalidInput, match=r"journal\.jsonl:1: not a line of a journal"):
        Journal(path)


def test_without_a_path_it_is_memory():
    journal = Journal()
    journal.put("a", 1)
    assert journal.get("a") == 1


def test_keys():
    x = torch.zeros(2, 1, 2, 2)
    x[1, 0, 0, 0] = 1e-7
    first, second = image_keys(x, torch.tensor([0, 0]))
    assert first != second and image_keys(x, torch.tensor([1, 0]))[0] != first
    assert key_of(["a b", 1, 0.5]) == "a_b 1 0.5"
