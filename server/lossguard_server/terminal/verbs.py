"""What a person may say to a run: one table, of which the subcommands that steer are made.

Rules of this file: a row is a verb, the kind of command that it gives, and its words. A word is named as the argument
of the command that it becomes; one that was not said is not sent. The server decides what is allowed.
"""

from dataclasses import dataclass
from inspect import Parameter
from typing import Annotated, Any

import typer

from lossguard.protocol.commands import STEPS_MAX
from lossguard.protocol.steering import (
    CLIP,
    GATE,
    GO_TO,
    HOLD,
    LEASED_KINDS,
    LR,
    RELEASE,
    REVERT,
    SCALE,
    SET,
    STEERING_KINDS,
)

from .console import RunName

POSITIONS = ("open", "closed")
Component = Annotated[str, typer.Argument(help="The loss component.")]
CommandName = Annotated[str, typer.Argument(metavar="COMMAND", help="A command's id, or its beginning.")]


@dataclass(frozen=True)
class Verb:
    """`words`: what becomes the command's arguments, after the run that it is for (a revert's command tells that)."""

    name: str
    kind: str
    does: str
    words: tuple[Parameter, ...] = ()

    @property
    def steers(self) -> bool:
        """Whether it changes what is in force, which can be computed for steps that were."""
        return self.kind in STEERING_KINDS

    @property
    def is_judged(self) -> bool:
        """Whether there comes a verdict on its effect."""
        return self.steers or self.kind == "rollback"

    @property
    def parameters(self) -> list[Parameter]:
        """Its own arguments and options, as typer reads them."""
        whose = [] if self.kind == REVERT else [_word("run", RunName)]
        lease = [_LEASE] if self.kind in LEASED_KINDS else []
        return [*whose, *self.words, *lease]

    def args(self, said: dict[str, Any]) -> dict[str, Any]:
        """The command's arguments."""
        names = [word.name for word in self.parameters if word.name != "run"]
        return {name: said[name] for name in names if said[name] is not None}


def _word(name: str, annotation: Any, default: Any = Parameter.empty) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _position(said: str) -> bool:
    if said not in POSITIONS:
        raise typer.BadParameter(f"{said!r} is no position of a gate: say {' or '.join(POSITIONS)}.")
    return said == "open"


def _steps(flag: str, text: str) -> Any:
    return Annotated[int | None, typer.Option(flag, min=1, max=STEPS_MAX, metavar="STEPS", help=text)]


_LEASE = _word("lease_steps", _steps("--for", "For so many steps; then what lies beneath comes back by itself."), None)
_COMPONENT = _word("component", Component)

VERBS = (
    Verb("pause", "pause", "Hold a run at its next step boundary."),
    Verb("resume", "resume", "Let a paused run go on."),
    Verb("stop", "stop", "End a run at its next step boundary."),
    Verb(
        "weight",
        SET,
        "Set the weight of a loss component.",
        (
            _COMPONENT,
            _word("value", Annotated[float, typer.Argument(help="Its new weight.")]),
            _word("ramp_steps", _steps("--ramp", "Go there in so many steps, not at once."), None),
        ),
    ),
    Verb(
        "scale",
        SCALE,
        "Multiply the weights of loss components, in the stages to come as well.",
        (
            _word("factor", Annotated[float, typer.Argument(help="What the weights are multiplied by.")]),
            _word(
                "components",
                Annotated[list[str] | None, typer.Argument(help="All components, if none is named.")],
                None,
            ),
        ),
    ),
    Verb(
        "gate",
        GATE,
        "Leave a loss component out of the graph, or take it in again.",
        (
            _COMPONENT,
            _word(
                "open", Annotated[bool, typer.Argument(parser=_position, metavar="|".join(POSITIONS), help="Which.")]
            ),
        ),
    ),
    Verb("hold", HOLD, "Stop the curriculum's clock: training goes on, stages and ramps do not."),
    Verb("release", RELEASE, "Let the curriculum's clock go on from where it was held."),
    Verb(
        "stage",
        GO_TO,
        "Set the curriculum's clock to the beginning of a stage, an earlier or a later one.",
        (_word("stage", Annotated[str, typer.Argument(metavar="NAME", help="The stage.")]),),
    ),
    Verb(
        "lr",
        LR,
        "Multiply every learning rate; the script's own schedule goes on beneath.",
        (_word("value", Annotated[float, typer.Argument(metavar="FACTOR", help="1 is what the script says.")]),),
    ),
    Verb(
        "clip",
        CLIP,
        "Clip gradients to another norm.",
        (
            _word(
                "value", Annotated[float, typer.Argument(metavar="NORM", help="The largest L2 norm of all gradients.")]
            ),
        ),
    ),
    Verb("revert", REVERT, "Take a command's effect back; a revert's, too.", (_word("command", CommandName),)),
    Verb("checkpoint", "checkpoint", "Let the training script write its checkpoint."),
    Verb(
        "rollback",
        "rollback",
        "Put a run back into its newest healthy snapshot; training goes on from there with new data.",
        (
            _word(
                "before_step",
                Annotated[
                    int | None,
                    typer.Option("--before", min=0, metavar="STEP", help="Not the newest: the newest before STEP."),
                ],
                None,
            ),
        ),
    ),
    Verb(
        "instrument",
        "instrument",
        "Record a run in full detail for some steps.",
        (_word("steps", Annotated[int, typer.Option(min=1, help="For how many steps; then back by itself.")]),),
    ),
)
