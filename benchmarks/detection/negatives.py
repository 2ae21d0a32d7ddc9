"""Eight things that look like failures and are none: whoever pages at them cries wolf.

Rules of this file: built of the same real curves as the failures; nothing here may page, save what a story says may
speak (of a planned stage jump, the look-ahead).
"""

from collections.abc import Callable

import numpy as np

from lossguard.protocol.messages import StageSpec

from .failures import declared
from .material import Material
from .story import Story, blocks, summed

N = 1_500


def planned_jump(material: Material, rng: np.random.Generator, number: int) -> Story:
    """A declared stage brings in a second main loss that was seen in shadow: the total jumps by a factor of 2 to 10."""
    switch, jump = 1_000, 2.0 + 8.0 * (number % 25) / 24
    main, new = material.draw(rng, N), material.draw(rng, N)
    at = np.arange(N)
    losses = {"structure": 2.0 * main.loss, "sequence": 2.0 * (jump - 1) * new.loss}
    weights = {"structure": np.ones(N), "sequence": np.where(at < switch, 0.0, 1.0)}
    columns = summed(weights, losses)
    columns["grad_norm/total"] = np.where(at < switch, main.grad, np.hypot(main.grad, (jump - 1) * new.grad))
    stages = [
        StageSpec("structure", 0, {"structure": 1.0, "sequence": 0.0}),
        StageSpec("both", switch, {"structure": 1.0, "sequence": 1.0}),
    ]
    seen = {"loss/sequence": (at >= switch) | (at % 50 == 0)}
    made = blocks(at.astype(np.int64), columns, seen)
    return Story("planned stage jump", declared(stages), made, may_speak=frozenset({"look_ahead"}))


def warm_up_end(material: Material, rng: np.random.Generator, number: int) -> Story:
    """The learning rate reaches its top: the fall of the loss bends, the gradient norm doubles within 100 steps."""
    top, main, at = 500, material.draw(rng, N), np.arange(N)
    bend = np.where(at < top, 1.6 - 0.3 * at / top, 1.0 + 0.3 * np.exp(-(at - top) / 200))
    rise = 1 + np.clip((at - top) / 100, 0, 1)
    columns = {"loss/total": 3.0 * main.loss * bend, "grad_norm/total": main.grad * rise}
    columns["lr"] = 1e-3 * np.minimum(at / top, 1.0)
    return Story("warm-up end", declared([]), blocks(at.astype(np.int64), columns))


def rate_drop(material: Material, rng: np.random.Generator, number: int) -> Story:
    """The learning rate falls to a tenth: the loss falls by a quarter at once, the gradient norm grows by half."""
    drop, main, at = 1_000, material.draw(rng, N), np.arange(N)
    columns = {
        "loss/total": 2.0 * main.loss * np.where(at < drop, 1.0, 0.75 + 0.1 * np.exp(-(at - drop) / 30)),
        "grad_norm/total": main.grad * np.where(at < drop, 1.0, 1.5 - 0.4 * np.exp(-(at - drop) / 50)),
        "lr": np.where(at < drop, 1e-3, 1e-4),
    }
    return Story("learning rate drop", declared([]), blocks(at.astype(np.int64), columns))


def bimodal(material: Material, rng: np.random.Generator, number: int) -> Story:
    """Mixup: 30 to 70 % of the batches are mixed, by how much is chance, and have 1.3 to 2.8 times the loss (as of an
    ImageNet ViT among the shared curves)."""
    main, at = material.draw(rng, N), np.arange(N)
    is_mixed = rng.random(N) < rng.uniform(0.3, 0.7)
    factor = np.exp(rng.uniform(np.log(1.3), np.log(2.8), N))
    columns = {
        "loss/total": 1.2 * main.loss * np.where(is_mixed, factor, 1.0),
        "grad_norm/total": main.grad * np.where(is_mixed, factor**0.4, 1.0),
    }
    return Story("bimodal mixup loss", declared([]), blocks(at.astype(np.int64), columns))


def cadence_change(material: Material, rng: np.random.Generator, number: int) -> Story:
    """Every step is logged until 100, then every hundredth: the curve seems to break."""
    main = material.draw(rng, N)
    steps = np.concatenate([np.arange(100), 100 * np.arange(1, N - 99)]).astype(np.int64)
    power = (1 + steps) ** -0.15
    columns = {"loss/total": 8.0 * power * main.loss, "grad_norm/total": main.grad * (1 + (steps >= 100) * 0.8)}
    return Story("cadence change", declared([]), blocks(steps, columns))


def resume(material: Material, rng: np.random.Generator, number: int) -> Story:
    """The run goes on from a checkpoint of 100 steps before: the steps come a second time, with other batches."""
    stop, back, main = 1_000, 100, material.draw(rng, N)
    steps = np.concatenate([np.arange(stop), np.arange(stop - back, N - back)]).astype(np.int64)
    warm = np.where((np.arange(N) >= stop) & (np.arange(N) < stop + 5), 1.1, 1.0)  # optimizer state a little stale
    columns = {"loss/total": 2.0 * main.loss * warm, "grad_norm/total": main.grad * warm}
    return Story("resume with repeated steps", declared([]), blocks(steps, columns))


def slow_steps(material: Material, rng: np.random.Generator, number: int) -> Story:
    """Every hundredth step evaluates and saves: it takes 5 to 20 times as long."""
    main, at = material.draw(rng, N), np.arange(N)
    is_slow = (at % 100 == 99) | (rng.random(N) < 0.002)
    time_s = 0.3 * material.draw(rng, N).grad ** 0.1 * np.where(is_slow, rng.uniform(5, 20, N), 1.0)
    columns = {"loss/total": 2.0 * main.loss, "grad_norm/total": main.grad, "step_time_s": time_s}
    return Story("evaluation spikes in step time", declared([]), blocks(at.astype(np.int64), columns))


def growing_returns(material: Material, rng: np.random.Generator, number: int) -> Story:
    """Reinforcement learning that works: returns grow a hundredfold, and the critic's loss with them, heavy-tailed."""
    at = np.arange(N)
    returns = 10.0 * np.exp(np.log(100) * at / N)
    columns = {"loss/total": 0.1 * returns * material.draw_rl(rng, N), "return": returns}
    return Story("RL growing returns", declared([]), blocks(2_000 * at.astype(np.int64), columns))


NEGATIVES: tuple[Callable[[Material, np.random.Generator, int], Story], ...] = (
    planned_jump,
    warm_up_end,
    rate_drop,
    bimodal,
    cadence_change,
    resume,
    slow_steps,
    growing_returns,
)
