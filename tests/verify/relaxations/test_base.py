import torch

from verify.relaxations.base import Lines


def test_pull_back_takes_the_line_of_the_sign():
    one = torch.ones(1, 2)
    lines = Lines(0.25 * one, 3 * one, 0.5 * one, 7 * one)
    coeff, offset = lines.pull_back(torch.tensor([[[2.0, -4.0]]]))
    assert coeff.tolist() == [[[0.5, -2.0]]]
    assert offset.tolist() == [[2 * 3 - 4 * 7]]


def test_without_lower_intercept():
    one = torch.ones(1, 2)
    _, offset = Lines(one, None, one, 7 * one).pull_back(torch.tensor([[[2.0, -4.0]]]))
    assert offset.tolist() == [[-28.0]]


def test_rows_with_lines_of_their_own_share_the_other_side_by_box():
    """As many boxes as rows: the shared line of box n belongs to box n, not to row n."""
    generator = torch.Generator().manual_seed(0)
    lower = torch.rand(3, 3, 4, generator=generator)
    upper, intercept = torch.rand(3, 4, generator=generator), torch.rand(3, 4, generator=generator)
    rows = torch.randn(3, 3, 4, generator=generator)
    coeff, offset = Lines(lower, None, upper, intercept).pull_back(rows)
    for n in range(3):
        for r in range(3):
            row = rows[n, r]
            expected = row.clamp(min=0) * lower[n, r] + row.clamp(max=0) * upper[n]
            assert torch.allclose(coeff[n, r], expected)
            assert torch.allclose(offset[n, r], (row.clamp(max=0) * intercept[n]).sum())
