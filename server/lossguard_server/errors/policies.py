"""What is wrong with what was set for the server to do by itself."""

from .requests import BadRequest


class BadPolicies(BadRequest):
    """The policies cannot be set so."""

    code = "bad_policies"
    hint = 'A policy is {"do": deed, "budget": 1 to 100}; GET shows the ones in force.'


class UnknownDeed(BadPolicies):
    """A policy cannot do this."""

    code = "unknown_deed"


class BudgetOutOfBounds(BadPolicies):
    """A policy's budget is a whole number of actions in a run, from 1 to 100."""

    code = "budget_out_of_bounds"
