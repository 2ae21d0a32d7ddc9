"""The finding: which component, and a sentence about it."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lossguard.origin.report import Origin, component_gradients_bad, find_origin
from lossguard.origin.trace import Birth, OriginTrace

LOG = Birth("aten.log", "forward", "", "losses.py:42 in spectrum", "nan")
DIV = Birth("aten.div", "backward", "encoder.norm", "model.py:12 in forward", "nan", "aten.sqrt")


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (Origin("spectrum", LOG), "loss 'spectrum' became nan in aten.log (forward, losses.py:42 in spectrum)"),
        (
            Origin("aux", DIV, parameter="encoder.0.weight"),
            "the gradient of 'aux' became nan in aten.div "
            "(backward of aten.sqrt, encoder.norm, model.py:12 in forward)",
        ),
        (
            Origin(None, DIV, "inf", "w"),
            "the gradient of w became inf; it began as nan in aten.div "
            "(backward of aten.sqrt, encoder.norm, model.py:12 in forward)",
        ),
        (
            Origin("a", Birth("input", "forward", "0", "parameter 0.weight", "nan")),
            "loss 'a' became nan because the parameter 0.weight held nan before the step",
        ),
        (
            Origin(None, Birth("input", "forward", "", "train.py:3 in step", "inf")),
            "every loss became nan because an input (first used at train.py:3 in step) held inf before the step",
        ),
        (Origin("a", None), "loss 'a' became nan; no operation was seen to make it"),
    ],
)
def test_the_sentence(origin: Origin, text: str) -> None:
    assert origin.text == text


def test_the_data_has_null_for_what_is_unknown() -> None:
    assert Origin("spectrum", LOG).to_data() == {
        "component": "spectrum",
        "module": None,
        "op": "aten.log",
        "phase": "forward",
        "where": "losses.py:42 in spectrum",
        "value": "nan",
    }
    assert Origin("x", None, "inf").to_data() == {
        "component": "x",
        "module": None,
        "op": None,
        "phase": None,
        "where": None,
        "value": "inf",
    }


def test_of_two_components_the_broken_one_is_named() -> None:
    w = torch.zeros(2, requires_grad=True)
    with OriginTrace(None) as trace:
        losses = {"fit": w.square().sum(), "spectrum": w.log().sum()}
    origin = find_origin(trace, losses, {})
    assert origin is not None
    assert (origin.component, origin.birth) == ("spectrum", trace.births[0])


def test_of_two_broken_components_the_one_that_broke_first() -> None:
    w = torch.zeros(2, requires_grad=True)
    with OriginTrace(None) as trace:
        second = w.log().sum()
        first = (w - 1).sqrt().sum()
    origin = find_origin(trace, {"a": first, "b": second}, {})
    assert origin is not None
    assert origin.component == "b"


def test_what_broke_every_component_is_no_components_fault() -> None:
    x = torch.tensor([float("nan")])
    with OriginTrace(None) as trace:
        losses = {"a": x.sum(), "b": x.mean()}
    origin = find_origin(trace, losses, {})
    assert origin is not None
    assert origin.component is None
    assert origin.text.startswith("every loss became nan because an input (first used at test_origin_report.py:")
    alone = find_origin(trace, {"a": losses["a"]}, {})
    assert alone is not None
    assert alone.component == "a"


def test_a_finite_step_has_no_origin() -> None:
    w = torch.ones(2, requires_grad=True)
    with OriginTrace(None) as trace:
        loss = w.sum()
        loss.backward()
    assert w.grad is not None
    assert find_origin(trace, {"a": loss}, {"w": w.grad}) is None


def test_a_finite_component_of_weight_zero_whose_gradient_is_not_finite() -> None:
    net = nn.Linear(2, 1)
    x = torch.ones(1, 2)
    with OriginTrace(net) as trace:
        losses = {"fit": net(x).square().sum(), "aux": (net(x) * 0).square().sum(-1).sqrt().sum()}
        with torch.no_grad():
            assert all(loss.isfinite() for loss in losses.values())
        component = component_gradients_bad(losses, list(net.parameters()))
        (1.0 * losses["fit"] + 0.0 * losses["aux"]).backward()
    grads = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    origin = find_origin(trace, losses, grads, component)
    assert origin is not None
    assert (origin.component, origin.parameter) == ("aux", "weight")
    assert origin.birth is not None
    assert (origin.birth.op, origin.birth.backward_of, origin.birth.value) == ("aten.div", "aten.sqrt", "nan")
    assert origin.text.startswith("the gradient of 'aux' became nan in aten.div (backward of aten.sqrt, test_origin")


def losses_of(w: Tensor) -> dict[str, Tensor]:
    return {"fit": w.square().sum(), "aux": (w * 0).square().sum().sqrt(), "fixed": torch.zeros(())}


def test_the_gradients_of_components_are_separated_and_the_graph_is_kept() -> None:
    w = torch.ones(2, requires_grad=True)
    losses = losses_of(w)
    assert component_gradients_bad(losses, [torch.ones(1, requires_grad=True), w]) == "aux"
    assert w.grad is None
    losses["fit"].backward()
    assert component_gradients_bad({"fit": losses_of(w)["fit"]}, [w]) is None
    assert component_gradients_bad({"aux": losses_of(w)["aux"]}, [w]) == "aux"
    assert component_gradients_bad(losses_of(w), []) is None


def test_where_the_shared_part_breaks_every_gradient_no_component_is_named() -> None:
    w = torch.ones(2, requires_grad=True)
    shared = (w * 0).square().sum().sqrt()
    assert component_gradients_bad({"a": shared * 2, "b": shared + 1}, [w]) is None


def test_a_graph_that_does_not_allow_it_is_no_error() -> None:
    w = torch.ones(2, requires_grad=True)
    loss = checkpoint(lambda x: (x * 0).square().sum().sqrt(), w, use_reentrant=True)
    assert component_gradients_bad({"a": loss}, [w]) is None
