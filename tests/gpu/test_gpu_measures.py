"""What is measured on a GPU: the right numbers, and no wait for them."""

import shutil
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from lossguard.activations import NOT_CALLED, Activations
from lossguard.gradients import ComponentGradients
from lossguard.norms import masked_count, matrix_norms
from lossguard.ring import SLOTS, PinnedRing, host_copy_for
from lossguard.system import GIB, SystemSeries
from on_gpu import NEEDS_CUDA, syncs_are_errors

pytestmark = NEEDS_CUDA
DEVICE = torch.device("cuda", 0)
WARM = 3
Row = npt.NDArray[np.float64]


def without_a_wait(measure: Callable[[], object]) -> object:
    """What `measure` gives once the libraries have started, with every wait for the device an error."""
    for _ in range(WARM):
        measure()
    with syncs_are_errors():
        return measure()


def parts(step: int) -> list[Tensor]:
    return [
        torch.full((), float(step), device=DEVICE),
        torch.tensor(0.5),  # on the host
        torch.full((3,), step / 4, device=DEVICE, dtype=torch.bfloat16),
        torch.full((), step + 2**40, device=DEVICE, dtype=torch.int64),
        torch.tensor([1.0, float("nan")]),
        torch.ones((), device=DEVICE, dtype=torch.bool),
        torch.full((2, 2), step / 8, device=DEVICE).T,
        torch.full((), 0.1, device=DEVICE, dtype=torch.float64),
    ]


def wanted(step: int) -> list[float]:
    return [step, 0.5, *[step / 4] * 3, step + 2**40, 1, np.nan, 1, *[step / 8] * 4, 0.1]


def test_rows_arrive_whole_and_in_order_while_the_device_falls_behind() -> None:
    ring, rows = host_copy_for(DEVICE), list[Row]()
    assert isinstance(ring, PinnedRing)
    busy = torch.randn(2048, 2048, device=DEVICE)
    given = [parts(step) for step in range(5 * SLOTS)]
    ring.push(given[0], rows.append)
    with syncs_are_errors():
        for each in given[1:]:
            busy = (busy @ busy).clamp_(-1, 1)
            ring.push(each, rows.append)
            ring.harvest()
    ring.harvest(wait=True)
    np.testing.assert_array_equal(np.array(rows), np.array([wanted(step) for step in range(5 * SLOTS)]))


def test_a_row_of_a_side_stream_is_not_read_before_it_is_there() -> None:
    ring, rows, side = PinnedRing(DEVICE), list[Row](), torch.cuda.Stream()
    slow = torch.randn(4096, 4096, device=DEVICE)
    for step in range(4):
        with torch.cuda.stream(side):
            for _ in range(10):
                slow = (slow @ slow).clamp_(-1, 1)
            ring.push([slow[0, 0] * 0 + step, slow.new_zeros(2)], rows.append)
        ring.harvest()
    ring.harvest(wait=True)
    assert [row.tolist() for row in rows] == [[float(step), 0.0, 0.0] for step in range(4)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_matrix_norms_agree_with_the_cpu(dtype: torch.dtype) -> None:
    for shape in ((48, 48), (6, 24, 24)):
        matrix = torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
        on_device = matrix.to(DEVICE)
        found = without_a_wait(lambda on_device=on_device: matrix_norms(on_device))
        assert isinstance(found, Tensor)
        torch.testing.assert_close(found.cpu(), matrix_norms(matrix), rtol=1e-3, atol=1e-3)


def test_a_mask_is_counted() -> None:
    mask = torch.rand(100, 100, device=DEVICE) > 0.5
    found = without_a_wait(lambda: masked_count(mask))
    assert isinstance(found, Tensor)
    assert found.item() == mask.sum().item()


def test_component_gradients_agree_with_the_cpu() -> None:
    found = []
    for device in ("cpu", DEVICE):
        x = torch.linspace(-1, 1, 64, device=device).requires_grad_()
        h = x * 2
        losses, weights = (
            {"a": h.square().mean(), "b": h.sin().sum(), "c": h.exp().mean()},
            {"a": 1.0, "b": -0.5, "c": 0.0},
        )
        gradients = ComponentGradients(list(losses), lambda: True)

        def measure(step: list[int] = [0], h: Tensor = h) -> object:  # noqa: B006
            step[0] += 1
            gradients.share(h)  # noqa: B023
            return gradients.measure(step[0], losses, weights)  # noqa: B023

        measured = without_a_wait(measure)
        assert isinstance(measured, tuple)
        found.append(measured[1].cpu())
        sum(losses.values()).backward()
    torch.testing.assert_close(*found)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(16, 16) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = torch.tanh(block(x))
        return x


def test_activations_of_a_model_that_is_moved_after_it_was_attached() -> None:
    net = Net()
    activations = Activations(net, True, lambda: True)
    net.to(DEVICE)
    x = torch.randn(4, 16, device=DEVICE)
    net(x)  # of this step nothing is known: the memory is still where the model was
    activations.values()

    def step() -> object:
        net(x).sum().backward()
        return activations.values()

    found = without_a_wait(step)
    assert isinstance(found, tuple)
    out = net.blocks[0](x).detach()
    assert found[1][:2].tolist() == pytest.approx([out.square().mean().sqrt().item(), out.abs().max().item()], rel=1e-5)


def test_activations_of_a_replayed_cuda_graph_are_those_of_the_replay() -> None:
    net = Net().to(DEVICE)
    activations = Activations(net, True, lambda: True)
    x = torch.randn(4, 16, device=DEVICE)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side), torch.no_grad():
        net(x)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph), torch.no_grad():
        net(x)
    activations.values()
    for scale in (1.0, 5.0):
        x.mul_(scale)
        graph.replay()
        found = activations.values()
        assert found is not None
        assert found[1][1].item() == pytest.approx(net.blocks[0](x).abs().max().item(), rel=1e-5)
        activations.values()
    found = activations.values()
    assert found is not None
    assert set(found[1].tolist()) == {NOT_CALLED}


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler: there is none here")
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled_heads_are_compared_or_refuse_and_the_backward_goes_on(mode: str) -> None:
    torch._dynamo.reset()
    trunk, head = nn.Linear(16, 16).to(DEVICE), nn.Sequential(nn.Linear(16, 16), nn.Sigmoid()).to(DEVICE)
    compiled = torch.compile(head, mode=mode)
    gradients, grads = ComponentGradients(["a", "b"], every=2), list[list[Tensor]]()
    x = torch.randn(8, 16, device=DEVICE)
    for watched in (True, False):
        for step in range(6):
            h = trunk(x)
            if watched:
                gradients.share(h)
            out = compiled(h)
            losses = {"a": out.square().mean(), "b": out.sin().mean()}
            measured = gradients.measure(step, losses, {"a": 1.0, "b": 1.0})
            assert not watched or step % 2 or (measured is None) == (gradients.off_reason is not None)
            for parameter in (*trunk.parameters(), *head.parameters()):
                parameter.grad = None
            sum(losses.values()).backward()
        grads.append([p.grad.clone() for p in (*trunk.parameters(), *head.parameters()) if p.grad is not None])
    torch.testing.assert_close(*grads)


def test_the_gpu_that_is_sampled_is_the_one_in_use() -> None:
    pytest.importorskip("pynvml", reason="needs nvidia-ml-py: it is not installed")
    held = torch.ones(GIB // 4, device=DEVICE)
    torch.cuda.synchronize()
    found = SystemSeries([DEVICE, "cpu"], time.monotonic).sample()
    free_bytes, total_bytes = torch.cuda.mem_get_info(DEVICE)
    assert found["memory/cuda:0/allocated_gib"] == torch.cuda.memory_allocated(DEVICE) / GIB >= 1.0
    assert found["memory/cuda:0/reserved_gib"] >= found["memory/cuda:0/allocated_gib"]
    assert found["system/gpu0/memory_used_gib"] == pytest.approx((total_bytes - free_bytes) / GIB, abs=2.0)
    assert 0 <= found["system/gpu0/utilization_percent"] <= 100
    assert 0 < found["system/gpu0/temperature_celsius"] < 130
    del held
