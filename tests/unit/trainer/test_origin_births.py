"""Where a non-finite value was born: the op, the line and the module, forward and backward."""

import torch
from torch import Tensor, nn

from lossguard.origin.trace import BIRTHS_MAX, Birth, OriginTrace
from lossguard.random_states import RandomStates


class Root(nn.Module):
    """sqrt has an infinite slope at 0."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square().sum(-1).sqrt()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.head = nn.ModuleDict({"norm": Root()})

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head["norm"](self.encoder(x) * 0)
        return out


def spectrum(x: Tensor) -> Tensor:
    return x.log().square().mean()


def test_log_of_zero_in_loss_code() -> None:
    x = torch.zeros(3, requires_grad=True)
    with OriginTrace(None) as trace:
        loss = spectrum(x * 2)
    birth = trace.birth_of(loss)
    assert birth is not None
    line = spectrum.__code__.co_firstlineno + 1
    assert birth == Birth("aten.log", "forward", "", f"test_origin_births.py:{line} in spectrum", "inf")
    assert trace.births == [birth]


def test_a_gradient_born_in_the_backward_of_an_op_inside_the_model() -> None:
    net = Net()
    nn.init.ones_(net.encoder[0].weight)
    with OriginTrace(net) as trace:
        net(torch.ones(2, 4)).sum().backward()
    birth = trace.birth_of(net.encoder[0].weight.grad)
    line = Root.forward.__code__.co_firstlineno + 1
    where = f"test_origin_births.py:{line} in forward"
    assert birth == Birth("aten.div", "backward", "head.norm", where, "inf", "aten.sqrt")


def test_a_log_of_what_dropout_zeroed_is_found_again_with_the_random_states() -> None:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1))
    x = torch.ones(2, 4)
    before = RandomStates.take()
    while net(x).abs().log().sum().isfinite():
        before = RandomStates.take()
    for _ in range(3):
        before.put_back()
        with OriginTrace(net) as trace:
            loss = net(x).abs().log().sum()
        birth = trace.birth_of(loss)
        assert birth is not None
        assert (birth.op, birth.module) == ("aten.log", "")


def test_of_two_buffers_that_an_op_writes_the_first_is_named_in_every_process() -> None:
    """Not whichever comes first in a set of names, which each process orders anew."""
    norm = nn.BatchNorm1d(2)
    for buffer in (norm.running_mean, norm.running_var):
        assert buffer is not None
        buffer.fill_(torch.nan)
    with OriginTrace(norm.eval()) as trace:
        out = norm(torch.ones(3, 2))
    birth = trace.birth_of(out)
    assert birth is not None
    assert birth.where == "buffer running_mean"


def test_a_value_born_within_a_nested_module_has_its_path() -> None:
    class Log(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.log()

    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), Log()))
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.zero_()
    with OriginTrace(net) as trace:
        loss = net(torch.ones(1, 2)).sum()
    birth = trace.birth_of(loss)
    assert birth is not None
    assert (birth.module, birth.where.partition(" in ")[2]) == ("1.1", "forward")


def test_a_loss_module_that_is_not_the_models_has_no_path() -> None:
    class Loss(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.log().sum()

    net, loss_module = nn.Linear(2, 2), Loss()
    with OriginTrace(net) as trace:
        loss = loss_module(net(torch.ones(1, 2)) * 0)
    birth = trace.birth_of(loss)
    assert birth is not None
    assert (birth.op, birth.module) == ("aten.log", "")


def test_an_overflow_of_float16() -> None:
    x = torch.full((4,), 300.0, dtype=torch.float16, requires_grad=True)
    with OriginTrace(None) as trace:
        loss = (x * x).mean()
    birth = trace.birth_of(loss)
    assert birth is not None
    assert (birth.op, birth.value) == ("aten.mul", "inf")


def test_an_overflow_by_a_cast() -> None:
    with OriginTrace(None) as trace:
        loss = torch.full((4,), 1e6).half().float().mean()
    birth = trace.birth_of(loss)
    assert birth is not None
    assert (birth.op, birth.value) == ("aten._to_copy", "inf")


def test_large_finite_values_are_finite() -> None:
    """Their sum and their L2 norm overflow."""
    with OriginTrace(None) as trace:
        x = torch.full((1000,), 1e38) * 2
        y = torch.full((1000,), 6e4, dtype=torch.float16) + 1
        assert trace.birth_of(x) is None
        assert trace.birth_of(y) is None
    assert trace.births == []


def test_under_autocast() -> None:
    net = nn.Linear(4, 4)
    with OriginTrace(net) as trace, torch.autocast("cpu", torch.bfloat16):
        out = net(torch.ones(2, 4))
        loss = (out - out).log().float().sum()
        loss.backward()
    birth = trace.birth_of(loss)
    assert birth is not None
    assert (birth.op, birth.phase) == ("aten.log", "forward")
    assert out.dtype is torch.bfloat16


def test_in_place_and_out_arguments_are_followed() -> None:
    x = torch.zeros(3)
    out = torch.empty(3)
    with OriginTrace(None) as trace:
        torch.log(x, out=out)
        loss = torch.ones(3).mul_(out).sum()
        y = torch.zeros(3).log_()
    assert [birth.op for birth in trace.births] == ["aten.log", "aten.log_"]
    assert trace.birth_of(loss) == trace.births[0]
    assert trace.birth_of(y) == trace.births[1]


def test_memory_that_was_overwritten_forgets() -> None:
    with OriginTrace(None) as trace:
        x = torch.zeros(3).log()
        x.zero_()
        x.sub_(1).sqrt_()
    assert [birth.op for birth in trace.births] == ["aten.log", "aten.sqrt_"]
    assert trace.birth_of(x) == trace.births[1]


def test_memory_that_was_cleaned_and_broken_again_in_a_part_has_the_second_birth() -> None:
    with OriginTrace(None) as trace:
        x = torch.zeros(3).log()
        x.zero_()
        x[0] = torch.full((), -1.0).sqrt()
    birth = trace.birth_of(x)
    assert birth is not None
    assert birth.op == "aten.sqrt"


def test_losses_kept_in_one_tensor_are_told_apart() -> None:
    with OriginTrace(None) as trace:
        losses = torch.empty(3)
        losses[0] = torch.zeros(()).log()
        losses[1] = 1.0
        losses[2] = -torch.ones(()).sqrt().log().sub(1).sqrt()
    assert [birth.op for birth in trace.births] == ["aten.log", "aten.sqrt"]
    found = [trace.birth_of(loss) for loss in losses]
    assert found == [trace.births[0], None, trace.births[1]]


def test_a_users_own_function() -> None:
    class Bad(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: object, grad: Tensor) -> Tensor:  # type: ignore[override]
            return grad / 0

    w = torch.ones(3, requires_grad=True)
    with OriginTrace(None) as trace:
        Bad.apply(w).sum().backward()
    birth = trace.birth_of(w.grad)
    line = Bad.backward.__code__.co_firstlineno + 2
    assert birth == Birth("aten.div", "backward", "", f"test_origin_births.py:{line} in backward", "inf", "Bad")


def test_gradients_that_overflow_as_they_are_added_up() -> None:
    net = nn.Sequential(nn.Linear(1, 1, bias=False)).half()
    x = torch.full((1, 1), 4e4, dtype=torch.float16)
    net(x).sum().backward()
    with OriginTrace(net) as trace:
        net(x).sum().backward()
    birth = trace.birth_of(net[0].weight.grad)
    assert birth is not None
    assert (birth.op, birth.phase, birth.module, birth.value) == ("aten.add_", "backward", "0", "inf")


def test_a_gradient_that_a_model_takes_within_its_forward_is_a_backwards() -> None:
    class Force(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            (slope,) = torch.autograd.grad(x.sqrt().sum(), x, create_graph=True)
            return slope.sum()

    with OriginTrace(net := nn.Sequential(Force())) as trace:
        net(torch.zeros(2, requires_grad=True))
    found = [(birth.op, birth.phase, birth.module, birth.backward_of) for birth in trace.births]
    assert found == [("aten.div", "backward", "0", "aten.sqrt")]


def test_a_gradient_that_overflows_as_it_is_gathered_from_a_view() -> None:
    w = torch.ones(1, dtype=torch.float16, requires_grad=True)
    with OriginTrace(None) as trace:
        y = w.expand(70_000)
        torch.ones(1) * 2  # makes no node, and is not the one that the view made
        (y * 1).backward(torch.ones(70_000, dtype=torch.float16))
    birth = trace.birth_of(w.grad)
    assert birth is not None
    assert (birth.op, birth.backward_of, birth.value) == ("aten.sum", "aten.expand", "inf")


def test_a_sparse_gradient() -> None:
    table = nn.Embedding(5, 2, sparse=True)
    with OriginTrace(table) as trace:
        (table(torch.tensor([1, 1])) * 0).square().sum(-1).sqrt().sum().backward()
    birth = trace.birth_of(table.weight.grad)
    assert birth is not None
    assert (birth.op, birth.backward_of) == ("aten.div", "aten.sqrt")


def test_a_complex_value() -> None:
    with OriginTrace(None) as trace:
        x = torch.zeros(2, dtype=torch.complex64)
        loss = (x / x).abs().sum()
    birth = trace.birth_of(loss)
    assert birth is not None
    assert (birth.op, birth.value) == ("aten.div", "nan")


def test_a_batch_norm_whose_statistics_overflow_is_named_and_not_its_buffer() -> None:
    net = nn.BatchNorm1d(2).double()
    with OriginTrace(net) as trace:
        loss = net(torch.tensor([[1e200, 0.0], [-1e200, 0.0]], dtype=torch.double)).sum()
    birth = trace.birth_of(loss)
    if birth is not None:
        assert birth.op.endswith("batch_norm")
    assert [birth.op for birth in trace.births] == ["aten.native_batch_norm"]
    assert trace.birth_of(net.running_var) == trace.births[0]


def test_memory_that_no_torch_op_wrote_is_said_to_be_so() -> None:
    """A kernel of the user's own wrote it (here: NumPy)."""
    with OriginTrace(None) as trace:
        x = torch.empty(3)
        x.numpy()[:] = float("nan")
        loss = x.sum()
    birth = trace.birth_of(loss)
    assert birth is not None
    assert (birth.op, birth.value) == ("aten.empty", "nan")


def test_the_births_are_bounded() -> None:
    many = compile("torch.zeros(1).log()\n" * (BIRTHS_MAX + 50), "many.py", "exec")
    with OriginTrace(None) as trace:
        exec(many)
    assert len(trace.births) == BIRTHS_MAX
    assert trace.births[-1].where == f"many.py:{BIRTHS_MAX} in <module>"
