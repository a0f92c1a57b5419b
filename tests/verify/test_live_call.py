import torch
from torch import fx, nn

from verify.live_call import Values


class Constants(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.inner = nn.Parameter(torch.ones(2)), nn.Linear(2, 1)

    def forward(self, x):
        return x + self.inner(self.weight.exp()) * self.weight.sum()


def test_what_does_not_depend_on_the_input_is_computed_from_the_parameters_of_the_moment():
    module = Constants()
    trace = fx.Tracer().trace(module)
    nodes = [node for node in trace.nodes if node.op not in ("placeholder", "output") and node.name != "add"]
    expected = module(torch.zeros(1))
    for detach in (False, True):
        values = Values(module, torch.device("cpu"), torch.float32, detach, {}, False)
        values.evaluate(nodes, {})
        found = values.constant(next(node for node in nodes if node.name == "mul"))
        assert torch.equal(found, expected)
        assert values.tensor(module.weight).requires_grad != detach
    assert values.tensor(2).dtype == torch.float32 and values.constant(0.5).item() == 0.5
