import torch

from verify.runtime import configure, keep_freed_blocks


def test_configure_sets_threads_and_full_precision():
    before = torch.get_num_threads()
    try:
        configure(threads=1)
        assert torch.get_num_threads() == 1
        configure()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


def test_allocator_is_asked_only_on_linux(monkeypatch):
    assert keep_freed_blocks() in (True, False)
    monkeypatch.setattr("verify.runtime.sys.platform", "win32")
    assert keep_freed_blocks() is False


def test_a_c_library_without_mallopt_is_fine(monkeypatch):
    monkeypatch.setattr("verify.runtime.sys.platform", "linux")
    monkeypatch.setattr("verify.runtime.ctypes.CDLL", lambda name: object())
    assert keep_freed_blocks() is False
