"""Why runs cannot be compared as asked."""

from .requests import BadRequest


class BadComparison(BadRequest):
    """Two to eight different runs can be compared."""

    code = "bad_comparison"
    status = 422
    hint = "Give each run once: `?run=A&run=B`."


class NoStages(BadRequest):
    """These runs cannot be laid side by side by stage."""

    code = "no_stages"
    status = 422
    hint = "Compare them by step."


class NoTimes(BadRequest):
    """These runs cannot be laid side by side by time."""

    code = "no_times"
    status = 422
    hint = "Compare them by step."
