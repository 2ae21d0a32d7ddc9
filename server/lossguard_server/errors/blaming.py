"""Why no blame can be laid over a range of a run."""

from .requests import BadRequest


class NothingToBlame(BadRequest):
    """There is nothing to compare in this range."""

    code = "nothing_to_blame"
    hint = (
        "Give `from` and `to` two logged steps or more apart; `GET /api/runs/{run}/series` says where the run has any."
    )
