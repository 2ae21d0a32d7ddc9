"""A training state taken and put back: which tensors, in which memory, and what becomes of the rest."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossguard.snapshots.layout import Unsupported
from lossguard.snapshots.state import Inventory, Own, TrainingState
from unit.trainer.snapshot_world import address_of, take, update


def nbytes_of(state: TrainingState) -> int:
    inventory = Inventory()
    state.freeze(inventory)
    return sum(region.nbytes for region in inventory.regions.values())


def adam(parameters: Iterable[Tensor], **kwargs: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=0.1, **kwargs)  # type: ignore[arg-type]


def test_everything_comes_back_into_the_memory_it_was_in() -> None:
    net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5))
    opt = adam(net.parameters(), amsgrad=True)
    state = TrainingState(net, opt)
    update(opt)
    tensors = [*net.parameters(), *net.buffers(), *(v for kept in opt.state.values() for v in kept.values())]
    addresses, values = address_of(*tensors), [tensor.detach().clone() for tensor in tensors]
    frozen = take(state)
    net(torch.randn(8, 4))
    update(opt)
    assert not any(map(torch.equal, tensors, values))
    state.put_back(frozen)
    now = [*net.parameters(), *net.buffers(), *(v for kept in opt.state.values() for v in kept.values())]
    assert address_of(*now) == addresses
    assert all(map(torch.equal, now, values))


def test_state_that_came_later_goes() -> None:
    net = nn.Linear(3, 3)
    opt = adam(net.parameters())
    state = TrainingState(net, opt)
    frozen = take(state)
    update(opt)
    state.put_back(frozen)
    assert len(opt.state) == 0


def test_state_that_went_is_made_again() -> None:
    net = nn.Linear(3, 3)
    opt = adam(net.parameters())
    state = TrainingState(net, opt)
    update(opt)
    wanted = {key: value.clone() for key, value in opt.state[net.weight].items()}
    frozen = take(state)
    opt.state.clear()
    state.put_back(frozen)
    assert {key: torch.equal(value, wanted[key]) for key, value in opt.state[net.weight].items()} == dict.fromkeys(
        wanted, True
    )
    assert opt.state[net.weight]["exp_avg"].device == net.weight.device


def test_tied_weights_are_copied_once() -> None:
    net = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 10, bias=False))
    alone = nbytes_of(TrainingState(nn.Embedding(10, 4), []))
    net[1].weight = net[0].weight
    assert nbytes_of(TrainingState(net, torch.optim.SGD(net.parameters(), lr=1.0))) == alone
    net[1].weight = nn.Parameter(net[0].weight.data)  # another parameter of the same memory
    assert nbytes_of(TrainingState(net, [])) == alone


def test_only_what_the_optimizer_alone_writes_may_be_copied_beside_training() -> None:
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2))
    net.register_parameter("frozen", nn.Parameter(torch.ones(5), requires_grad=False))
    net.register_buffer("view_of_a_weight", net[1].weight.data)
    opt = adam([*net[0].parameters(), net[1].weight])
    update(opt)
    inventory = Inventory()
    TrainingState(net, opt).freeze(inventory)
    beside = {key[1] for key, region in inventory.regions.items() if region.beside}
    moments = [value for value in opt.state[net[0].weight].values() if isinstance(value, Tensor)]
    assert {net[0].weight.data_ptr(), *address_of(*moments)} <= beside
    in_line = [net[1].weight, net[1].bias, net[1].running_mean, net.frozen, net[1].num_batches_tracked]
    assert not beside & set(address_of(*in_line))


def test_parameters_that_only_the_optimizer_knows_belong_to_it() -> None:
    temperature = nn.Parameter(torch.tensor(2.0))
    state = TrainingState(nn.Linear(1, 1), adam([temperature]))
    frozen = take(state)
    temperature.data.fill_(7.0)
    state.put_back(frozen)
    assert temperature.item() == 2.0


def test_buffers_that_were_replaced_appeared_or_changed_shape() -> None:
    net = nn.Module()
    for name in ("replaced", "grown", "was_there"):
        net.register_buffer(name, torch.ones(2))
    net.register_buffer("was_none", None)
    state = TrainingState(net, [])
    frozen = take(state)
    net.replaced, net.grown, net.was_there, net.was_none = torch.zeros(2), torch.zeros(5), None, torch.zeros(1)
    net.register_buffer("came_later", torch.full((2,), 3.0))
    replaced = net.replaced
    state.put_back(frozen)
    assert net.replaced is replaced
    assert [net.replaced.tolist(), net.grown.tolist(), net.was_there.tolist()] == [[1, 1]] * 3
    assert net.was_none is None
    assert net.came_later.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda net: net.half(), "0.weight was float32 [3, 2] and is another kind of tensor now"),
        (
            lambda net: setattr(net[0], "weight", nn.Parameter(torch.ones(3, 2))),
            "0.weight is not in the model any more",
        ),
        (lambda net: setattr(net[0].weight, "data", torch.ones(4, 2)), "0.weight was float32 [3, 2]"),
    ],
)
def test_a_model_that_became_another_one_is_an_obstacle(change: Callable[[nn.Module], object], reason: str) -> None:
    net = nn.Sequential(nn.Linear(2, 3))
    state = TrainingState(net, [])
    frozen = take(state)
    assert state.obstacle(frozen) is None
    change(net)
    assert reason in (state.obstacle(frozen) or "")


def test_a_group_that_was_added_stays_without_state() -> None:
    net, head = nn.Linear(2, 2), nn.Linear(2, 1)
    opt = adam(net.parameters())
    state = TrainingState(net, opt)
    update(opt)
    frozen = take(state)
    opt.add_param_group({"params": list(head.parameters()), "lr": 0.5})
    opt.param_groups[0]["lr"] = 9.0
    update(opt)
    assert state.obstacle(frozen) is None
    assert "1 parameter group of the optimizer" in state.additions(frozen)
    state.put_back(frozen)
    assert [group["lr"] for group in opt.param_groups] == [0.1, 0.5]
    assert set(opt.state) == set(net.parameters())


def test_parameters_that_were_tied_since_are_an_obstacle() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    state = TrainingState(net, [])
    frozen = take(state)
    net[1].weight.data = net[0].weight.data
    assert state.obstacle(frozen) == "the parameters 0.weight and 1.weight share their memory now, and did not then"


@pytest.mark.parametrize(
    "change", [lambda groups: groups.pop(), lambda groups: groups.reverse(), lambda groups: groups[0]["params"].clear()]
)
def test_groups_that_are_not_those_of_then_are_an_obstacle(change: Callable[[list[Any]], object]) -> None:
    net = nn.Linear(2, 2)
    opt = adam([{"params": [net.weight]}, {"params": [net.bias]}])  # type: ignore[list-item]
    state = TrainingState(net, opt)
    frozen = take(state)
    change(opt.param_groups)
    assert state.obstacle(frozen) == "the parameter groups of AdamW are not those of then"


def test_a_rate_in_a_tensor_keeps_its_memory() -> None:
    net = nn.Linear(2, 2)
    rate = torch.tensor(0.25)
    opt = torch.optim.Adam(net.parameters(), lr=rate, capturable=False, foreach=False)
    state = TrainingState(net, opt)
    frozen = take(state)
    rate.fill_(3.0)
    opt.param_groups[0]["betas"] = (0.5, 0.5)
    state.put_back(frozen)
    assert opt.param_groups[0]["lr"] is rate
    assert (rate.item(), opt.param_groups[0]["betas"]) == (0.25, (0.9, 0.999))


def test_nested_state_with_lists_as_lbfgs_has_it() -> None:
    net = nn.Linear(3, 1)
    opt = torch.optim.LBFGS(net.parameters(), history_size=3)
    x = torch.randn(20, 3)

    def closure() -> Tensor:
        opt.zero_grad()
        loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
        loss.backward()
        return loss

    state = TrainingState(net, opt)
    opt.step(closure)  # type: ignore[arg-type]
    frozen = take(state)
    first = [opt.step(closure).item(), opt.step(closure).item()]  # type: ignore[arg-type, union-attr]
    state.put_back(frozen)
    assert [opt.step(closure).item(), opt.step(closure).item()] == first  # type: ignore[arg-type, union-attr]


def test_a_scaler_before_its_first_use_and_after() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    state = TrainingState(nn.Linear(1, 1), [], scaler=scaler)
    unused = take(state)
    scaler.scale(torch.ones(()))
    used = take(state)
    assert scaler._scale is not None
    address = scaler._scale.data_ptr()
    scaler._scale.fill_(2.0)
    state.put_back(used)
    assert (scaler.get_scale(), scaler._scale.data_ptr()) == (8.0, address)
    state.put_back(unused)
    assert (scaler._scale, scaler.get_scale()) == (None, 8.0)
    disabled = TrainingState(nn.Linear(1, 1), [], scaler=torch.amp.GradScaler("cpu", enabled=False))
    disabled.put_back(take(disabled))


def test_what_the_caller_adds_is_copied_deeply_and_handed_back_each_time_anew() -> None:
    mine: dict[str, Any] = {"weights": {"ce": 1.0}, "ema": torch.ones(2), "log": [1]}
    back: list[dict[str, Any]] = []
    state = TrainingState(nn.Linear(1, 1), [], own=Own(lambda: mine, back.append))
    frozen = take(state)
    mine["weights"]["ce"] = 2.0
    mine["ema"].zero_()
    mine["log"].append(2)
    for _ in range(2):
        state.put_back(frozen)
        assert back[-1]["ema"].tolist() == [1, 1]
        assert (back[-1]["weights"], back[-1]["log"]) == ({"ce": 1.0}, [1])
        back[-1]["log"].append(3)
        back[-1]["ema"].zero_()


def test_what_cannot_be_copied_is_named() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, device="meta"))
    with pytest.raises(Unsupported, match=r"the parameter 1\.weight cannot be copied: it is on the meta device"):
        take(TrainingState(net, []))
    net[1] = nn.BatchNorm1d(2)
    net[1].running_var = torch.eye(2).to_sparse()
    with pytest.raises(Unsupported, match=r"the buffer 1\.running_var cannot be copied: it is not a dense tensor"):
        take(TrainingState(net, []))
    generator = Own(lambda: {"batches": (i for i in range(3))})
    with pytest.raises(Unsupported, match="a generator in it cannot be copied"):
        take(TrainingState(nn.Linear(1, 1), [], own=generator))
