"""Gradient norms where a model is cut among ranks are those of the whole model on one process."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from torchrun import torchrun


def model() -> nn.Sequential:
    torch.manual_seed(3)
    # 7 and 3 rows over 2 or 4 ranks: uneven parts, and on the last ranks empty ones
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3), nn.Linear(3, 1, bias=False))


def backward(net: nn.Module) -> None:
    torch.manual_seed(4)
    net(torch.randn(16, 5)).square().sum().backward()


def cut(net: nn.Module, kind: str) -> nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor.parallel import RowwiseParallel, parallelize_module

    world = torch.distributed.get_world_size()
    if kind == "ddp":
        return nn.parallel.DistributedDataParallel(net)
    if kind == "fsdp":
        fully_shard(net[0])  # type: ignore[index]
        return fully_shard(net, mesh=init_device_mesh("cpu", (world,)))
    if kind == "hsdp":
        return fully_shard(net, mesh=init_device_mesh("cpu", (2, world // 2), mesh_dim_names=("replicate", "shard")))
    mesh = init_device_mesh("cpu", (world // 2, 2), mesh_dim_names=("data", "tensor"))
    # its weight is cut, and its bias repeated
    parallelize_module(net[2], mesh["tensor"], RowwiseParallel(input_layouts=Replicate()))  # type: ignore[index]
    return fully_shard(net, mesh=mesh["data"]) if kind == "fsdp+tp" else net


def measured(rank: int, folder: Path) -> dict[str, Any]:
    import torch.distributed as dist

    from lossguard.grad_norms import GradNorms

    dist.init_process_group("gloo")
    kind = folder.name
    net = cut(model(), kind)
    grads = GradNorms(net, [torch.optim.SGD(net.parameters(), lr=0.1)], None)
    backward(net)
    grads.to_clip_by(whole_model=True)
    found = {
        name: value for names, values in grads.series() for name, value in zip(names, values.tolist(), strict=True)
    }
    _, each = grads.by_parameter() or ((), torch.empty(0))
    return {"series": found, "parameters": dict(zip(grads.parameters, each.tolist(), strict=True))}


def clipped(rank: int, folder: Path) -> dict[str, Any]:
    import torch.distributed as dist

    import lossguard as lg

    dist.init_process_group("gloo")
    net = cut(model(), "fsdp")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    run = lg.init("tests", "clip", mode="offline", dir=folder / "spool", model=net, optimizer=optimizer)
    assert run.boundary()
    backward(net)
    total = run.clip_grad_norm_(0.25)
    whole = [p.grad.full_tensor() for p in net.parameters()]  # type: ignore[union-attr]
    optimizer.step()
    run.finish()
    left = torch.cat([g.ravel() for g in whole]).norm()
    return {"kind": type(total).__name__, "total": float(total), "left": float(left)}


def test_clipping_a_model_that_is_cut_gives_the_norm_of_the_whole(tmp_path: Path) -> None:
    job = torchrun(clipped, 2, tmp_path, at_once=True)
    assert job.status == 0, job.printed
    total = math.sqrt(sum(value**2 for value in expected().values()))
    assert job.returned[0] == {"kind": "Tensor", "total": pytest.approx(total), "left": pytest.approx(0.25, rel=1e-4)}
    assert job.returned[1] == job.returned[0]
    assert "lossguard failed" not in job.printed


def expected() -> dict[str, float]:
    net = model()
    backward(net)
    return {name: float(p.grad.norm()) for name, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("kind", "world"), [("ddp", 2), ("fsdp", 2), ("fsdp", 4), ("hsdp", 4), ("tp", 2), ("fsdp+tp", 4)]
)
def test_the_norms_of_parts_add_up_to_those_of_the_whole(tmp_path: Path, kind: str, world: int) -> None:
    (folder := tmp_path / kind).mkdir()
    job = torchrun(measured, world, folder, at_once=True)
    assert job.status == 0, job.printed
    whole = expected()
    for rank in range(world):
        assert job.returned[rank]["parameters"] == pytest.approx(whole, rel=1e-5)
        total = math.sqrt(sum(value**2 for value in whole.values()))
        assert job.returned[rank]["series"]["grad_norm/total"] == pytest.approx(total, rel=1e-5)
        group = math.hypot(whole["2.weight"], whole["2.bias"])
        assert job.returned[rank]["series"]["grad_norm/2"] == pytest.approx(group, rel=1e-5)
