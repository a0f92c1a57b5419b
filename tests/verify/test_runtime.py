import torch

from verify.runtime import configure, full_precision, keep_freed_blocks


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


def product_error() -> float:
    x = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    return float((x @ x - x.double() @ x.double()).abs().max())


def test_a_program_that_trades_precision_for_speed_gets_exact_products_inside_and_its_choice_back():
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16), full_precision():
            x = torch.randn(8, 8)
            assert (x @ x).dtype == torch.float32
            assert product_error() < 1e-3
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
