"""What can go wrong with the rules' own memory."""

from .base import ServerError


class StateUnreadable(ServerError):
    """What the rules knew of the run cannot be read."""

    code = "rules_state_unreadable"
    hint = "The rules learn the run anew from its last 1,000 steps."
