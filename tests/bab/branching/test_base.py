import torch

from bab.branching import BoxView, NeuronView, babsr, intercept, longest_edge, relaxation_gap, smart_branching


def neuron_view(n=4, u=5, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return NeuronView(normal(n, u), normal(n, u), torch.rand(n, u, generator=generator, dtype=torch.float64),
                      -normal(u).abs() - 0.1, normal(u).abs() + 0.1, normal(u))


def box_view(n=4, i=3, r=2, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    lower = normal(n, i)
    return BoxView(lower, lower + normal(n, i).abs(), torch.ones(i, dtype=torch.float64) * 5, normal(n, r, i),
                   normal(n, r), torch.ones(n, r, dtype=torch.bool))


def test_scores_do_not_depend_on_batch_mates_or_their_order():
    order = torch.tensor([2, 0, 3])
    view, box = neuron_view(), box_view()
    part = NeuronView(view.coeff[order], view.z[order], view.alpha[order], view.lower, view.upper, view.bias)
    for score in (babsr, intercept, relaxation_gap):
        assert torch.equal(score(part), score(view)[order])
        assert score(view).shape == (4, 5) and bool(torch.isfinite(score(view)).all())
    few = BoxView(box.lower[order], box.upper[order], box.root_width, box.coeff[order], box.row_lower[order],
                  box.open_rows[order])
    for score in (longest_edge, smart_branching):
        assert torch.equal(score(few), score(box)[order])
        assert score(box).shape == (4, 3)
