"""After a tripped step every bit is what it was: every optimizer of torch.optim, every variant, every kind of fault."""

import inspect
import itertools

import pytest
import torch
from torch import Tensor, nn

from lossguard.grad_norms import GradNorms
from lossguard.guard.guard import Guard, GuardOptions
from lossguard.shield import Shield

IMPLEMENTATIONS = ("plain", "foreach", "fused", "capturable")
OPTIONS: dict[str, list[dict[str, object]]] = {
    "SGD": [
        {},
        {"momentum": 0.9, "weight_decay": 0.1},
        {"momentum": 0.9, "dampening": 0.5},
        {"momentum": 0.9, "nesterov": True},
    ],
    "Adam": [{}, {"amsgrad": True, "weight_decay": 0.1}],
    "AdamW": [{}, {"amsgrad": True}],
    "RMSprop": [{}, {"momentum": 0.9, "centered": True}],
    "NAdam": [{}, {"decoupled_weight_decay": True, "weight_decay": 0.1}],
}
FAULTS = ("gradient", "loss", "buffer")
WARMTH = (0, 3)  # optimizer steps before the fault
UNSUPPORTED = {"LBFGS"}


def optimizers() -> list[str]:
    classes = inspect.getmembers(torch.optim, inspect.isclass)
    return sorted(name for name, cls in classes if issubclass(cls, torch.optim.Optimizer) and name != "Optimizer")


def variants(name: str) -> list[dict[str, object]]:
    known = inspect.signature(getattr(torch.optim, name).__init__).parameters
    chosen: list[dict[str, object]] = []
    for options, kind in itertools.product(OPTIONS.get(name, [{}]), IMPLEMENTATIONS):
        if kind in ("fused", "foreach") and kind not in known:
            continue
        if kind == "capturable":
            continue  # capturable wants an accelerator
        lr = {"lr": 0.05} if "lr" in known else {}
        chosen.append({**lr, **options, **({kind: True} if kind in known else {})})
    return chosen


class Net(nn.Module):
    """Two matrices and a BatchNorm (no vectors: Muon takes matrices only; they are frozen there)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4, bias=False)
        self.norm = nn.BatchNorm1d(4)
        self.last = nn.Linear(4, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.first(x)))


class World:
    """A net, its optimizer and the guard, as a run would hold them."""

    def __init__(self, name: str, options: dict[str, object], mode: str = "auto", on_trip: str = "skip") -> None:
        torch.manual_seed(0)
        self.net = Net()
        params = [p for p in self.net.parameters() if p.dim() == 2]
        self.sparse = name == "SparseAdam"
        self.optimizer = getattr(torch.optim, name)(params, **options)
        norms = GradNorms(self.net, [self.optimizer], None)
        self.totals: list[Tensor] = []
        self.failures: list[str] = []
        shield = Shield(lambda where, message: self.failures.append(message))
        self.guard = Guard(GuardOptions(mode, on_trip), [self.optimizer], self.net, norms, lambda: self.totals, shield)
        self.norms = norms

    def step(self, fault: str = "") -> None:
        self.guard.begin_step()
        self.norms.clear()
        x = torch.randn(8, 4)
        loss = self.net(x).square().mean()
        self.totals[:] = [loss.detach()]
        loss.backward()
        for p in self.net.parameters():
            p.grad = p.grad.to_sparse() if self.sparse and p.grad is not None else p.grad
        self.break_it(fault)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def break_it(self, fault: str) -> None:
        if fault == "gradient":
            grad = self.net.first.weight.grad
            assert grad is not None
            (grad._values() if grad.is_sparse else grad).view(-1)[0] = torch.inf
        elif fault == "loss":
            self.totals[:] = [torch.tensor(torch.nan)]
        elif fault == "buffer":
            self.net.norm.running_mean[1] = torch.nan  # type: ignore[index]

    def bits(self) -> list[tuple[str, bytes]]:
        found = [(name, value) for name, value in self.net.state_dict().items()]
        for i, p in enumerate(self.net.parameters()):
            state = self.optimizer.state.get(p, {})
            found += [(f"{i}.{key}", value) for key, value in state.items() if isinstance(value, Tensor)]
            found += [
                (f"{i}.{key}", torch.tensor(value)) for key, value in state.items() if isinstance(value, int | float)
            ]
        return [
            (name, value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()) for name, value in found
        ]


CASES = [(name, i) for name in optimizers() if name not in UNSUPPORTED for i in range(len(variants(name)))]


@pytest.mark.parametrize(("name", "variant"), CASES, ids=lambda value: str(value))
def test_a_tripped_step_leaves_every_bit(name: str, variant: int) -> None:
    options = variants(name)[variant]
    for fault, warm in itertools.product(FAULTS, WARMTH):
        world = World(name, options)
        for _ in range(warm):
            world.step()
        before = world.bits()
        world.step(fault)
        where = f"{name} {options} {fault} after {warm} steps"
        assert world.bits() == before, where
        assert world.failures == [], where
        verdicts = world.guard.verdicts
        assert verdicts.host_bad or [float(flag) for flag in verdicts.skipped] == [1.0], where
        world.step()
        assert world.bits() != before, f"{where}: it never steps again"
        assert all(bool(value.isfinite().all()) for value in world.net.state_dict().values()), where


@pytest.mark.parametrize("fault", FAULTS)
def test_without_the_guard_the_same_fault_destroys(fault: str) -> None:
    world = World("AdamW", {"lr": 0.05}, mode="off")
    world.step()
    before = world.bits()
    world.step(fault)
    assert world.bits() != before


@pytest.mark.parametrize(("name", "variant"), CASES, ids=lambda value: str(value))
def test_the_guard_does_not_change_a_healthy_step(name: str, variant: int) -> None:
    guarded, free = World(name, variants(name)[variant]), World(name, variants(name)[variant], mode="off")
    for world in (guarded, free):
        torch.manual_seed(1)
        for _ in range(5):
            world.step()
    assert guarded.bits() == free.bits()


def test_fused_optimizers_skip_on_the_device_and_the_others_by_the_host() -> None:
    modes: dict[str, set[str]] = {}
    for name, variant in CASES:
        options = variants(name)[variant]
        fused = "fused" if options.get("fused") else "other"
        modes.setdefault(fused, set()).add(World(name, options).guard.watched[0].mode)
    assert modes == {"fused": {"device"}, "other": {"trip"}}


def test_lbfgs_says_that_it_is_not_supported() -> None:
    guard = World("LBFGS", {}).guard
    assert guard.watched[0].mode == "off"
    assert "LBFGS evaluates the loss several times" in guard.notes[0]


def test_an_optimizer_within_backward_says_that_it_is_not_supported() -> None:
    world = World("SGD", {"lr": 0.1})

    def step_now(parameter: Tensor) -> None:
        world.optimizer.step()

    world.net.last.weight.register_post_accumulate_grad_hook(step_now)
    world.step()
    assert world.guard.watched[0].mode == "off"
    assert world.failures == ["SGD steps inside backward; not supported"]


def test_a_closure_is_judged_after_its_backward() -> None:
    world = World("AdamW", {"lr": 0.05, "fused": True})
    world.step()
    before = world.bits()

    def closure() -> Tensor:
        loss = (world.net.first.weight * torch.nan).sum() + world.net.last.weight.sum()
        loss.backward()
        return loss

    world.guard.begin_step()
    world.norms.clear()
    world.totals.clear()
    world.optimizer.step(closure)
    assert world.bits() == before


def test_a_gradient_written_after_the_clip_is_still_seen() -> None:
    world = World("SGD", {"lr": 0.05})
    world.guard.begin_step()
    world.net(torch.randn(8, 4)).square().mean().backward()
    assert world.norms.to_clip_by(whole_model=True) is not None
    before = world.bits()
    world.break_it("gradient")
    world.optimizer.step()
    assert dict(world.bits())["first.weight"] == dict(before)["first.weight"]
    assert world.guard.verdicts.host_bad
