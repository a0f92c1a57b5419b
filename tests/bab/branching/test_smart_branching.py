import torch

from bab.branching import BoxView, smart_branching


def view(open_rows):
    return BoxView(torch.zeros(1, 3), torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([1.0, 2.0, 1.0]),
                   torch.tensor([[[4.0, 1.0, 9.0], [0.0, 100.0, 0.0]]]), torch.zeros(1, 2), torch.tensor([open_rows]))


def test_the_largest_share_of_an_open_row_wins():
    assert smart_branching(view([True, False])).argmax(1).tolist() == [0]
    assert smart_branching(view([True, True])).argmax(1).tolist() == [1]


def test_an_input_of_width_0_scores_0_and_a_flat_one_stays_alive():
    scores = smart_branching(view([False, True]))[0]
    assert scores[2] == 0
    assert 0 < scores[0] < scores[1]
