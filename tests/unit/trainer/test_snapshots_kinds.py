"""A training state of unusual tensors: views, odd dtypes and formats, wrappers and shards."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from lossguard.snapshots.state import TrainingState
from unit.trainer.snapshot_world import address_of, take, update


class Odd(nn.Module):
    """Tensors of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.brain = nn.Parameter(torch.randn(3, 2).bfloat16())
        self.scalar = nn.Parameter(torch.tensor(1.5))
        self.empty = nn.Parameter(torch.empty(0, 3))
        self.frozen = nn.Parameter(torch.randn(4), requires_grad=False)
        self.wave = nn.Parameter(torch.randn(3, dtype=torch.complex64))
        self.last = nn.Parameter(torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last))
        self.register_buffer("covariance", torch.randn(2, 2, dtype=torch.complex128))
        self.register_buffer("lazy_conjugate", torch.randn(3, dtype=torch.complex64).conj())
        self.register_buffer("places", torch.arange(5).expand(2, 5), persistent=False)
        self.register_buffer("column", torch.randn(4, 4)[:, 1])
        self.register_buffer("flags", torch.tensor([True, False]))
        self.register_buffer("none", None)

    def tensors(self) -> list[Tensor]:
        return [*self.parameters(), *self.buffers()]


def test_every_kind_of_tensor() -> None:
    net = Odd()
    state = TrainingState(net, [])
    values = [tensor.detach().clone() for tensor in net.tensors()]
    tensors, addresses = net.tensors(), address_of(*net.tensors())
    frozen = take(state)
    with torch.no_grad():
        for tensor in tensors:
            (tensor[:1] if tensor.dim() == 2 and tensor.stride(0) == 0 else tensor).zero_()
    state.put_back(frozen)
    assert all(map(torch.equal, net.tensors(), values))
    assert (address_of(*net.tensors()), net.none) == (addresses, None)
    assert net.column.stride() == (4,)


def test_the_neighbours_of_a_view_are_not_touched() -> None:
    big = torch.zeros(4, 4)
    net = nn.Module()
    net.register_buffer("column", big[:, 1])
    state = TrainingState(net, [])
    frozen = take(state)
    big.fill_(9.0)
    state.put_back(frozen)
    assert big.sum(0).tolist() == [36, 0, 36, 36]


def test_a_buffer_made_under_inference_mode_is_replaced_not_written() -> None:
    net = nn.Module()
    net.register_buffer("cache", torch.ones(2))
    state = TrainingState(net, [])
    frozen = take(state)
    with torch.inference_mode():
        net.cache = made_there = torch.zeros(2)
    assert take(state).buffers
    state.put_back(frozen)
    assert net.cache.tolist() == [1, 1]
    assert made_there.tolist() == [0, 0]


def test_two_names_that_became_one_memory_are_parted_again() -> None:
    net = nn.Module()
    net.register_buffer("now", torch.tensor([1.0, 2.0]))
    net.register_buffer("before", torch.tensor([3.0, 4.0]))
    state = TrainingState(net, [])
    frozen = take(state)
    net.before = net.now
    net.now = torch.cat([net.now, net.now])[1:3]
    net.before = net.now[:]
    state.put_back(frozen)
    assert (net.now.tolist(), net.before.tolist()) == ([1, 2], [3, 4])


def test_another_memory_format_than_when_it_was_taken() -> None:
    net = nn.Conv2d(3, 5, 3)
    state = TrainingState(net, [])
    wanted = net.weight.detach().clone()
    frozen = take(state)
    net.to(memory_format=torch.channels_last)
    address = net.weight.data_ptr()
    net.weight.data.zero_()
    state.put_back(frozen)
    assert torch.equal(net.weight, wanted)
    assert net.weight.is_contiguous(memory_format=torch.channels_last)
    assert net.weight.data_ptr() == address


def test_parameters_that_interleave_in_one_memory_all_come_back() -> None:
    big = torch.arange(12.0).reshape(4, 3)
    net = nn.ParameterList([nn.Parameter(column) for column in big.unbind(1)])
    state = TrainingState(net, [])
    frozen = take(state)
    big.zero_()
    assert state.obstacle(frozen) is None
    state.put_back(frozen)
    assert big.flatten().tolist() == list(range(12))


def test_tensors_that_wrap_others_are_their_parts() -> None:
    two = pytest.importorskip("torch.testing._internal.two_tensor").TwoTensor
    net = nn.Module()
    net.weight = nn.Parameter(two(torch.ones(3), torch.ones(3) * 2))
    net.register_buffer("cache", two(torch.ones(3), torch.ones(3) * 2))
    state = TrainingState(net, [])
    address = net.weight.a.data_ptr()
    frozen = take(state)
    net.weight.a.data.zero_()
    net.cache = None
    state.put_back(frozen)
    assert (net.weight.a.tolist(), net.weight.b.tolist(), net.cache.b.tolist()) == ([1] * 3, [2] * 3, [2] * 3)
    assert net.weight.a.data_ptr() == address


@pytest.fixture
def one_rank() -> Iterator[None]:
    """A process group of this process alone."""
    dist = pytest.importorskip("torch.distributed")
    if not dist.is_available() or dist.is_initialized():
        pytest.skip("needs a process group of its own")
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_rank")
def test_sharded_parameters_and_their_state_are_their_local_parts() -> None:
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor, init_device_mesh

    net = fully_shard(nn.Linear(4, 4), mesh=init_device_mesh("cpu", (1,)))
    opt = torch.optim.AdamW(net.parameters(), lr=0.1)
    update(opt)
    state, weight = TrainingState(net, opt), net.weight
    assert isinstance(weight, DTensor)
    wanted = [weight.to_local().detach().clone(), opt.state[weight]["exp_avg"].to_local().clone()]
    address = weight.to_local().data_ptr()
    frozen = take(state)
    update(opt)
    opt.state.clear()
    state.put_back(frozen)
    assert isinstance(opt.state[weight]["exp_avg"], DTensor)
    assert torch.equal(weight.to_local(), wanted[0])
    assert torch.equal(opt.state[weight]["exp_avg"].to_local(), wanted[1])
    assert weight.to_local().data_ptr() == address
