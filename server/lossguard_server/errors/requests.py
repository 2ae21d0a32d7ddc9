"""What is wrong with a request: who asks, what is asked for, how it is asked."""

from .base import ServerError


class AccessError(ServerError):
    """This is not allowed."""

    code = "forbidden"
    status = 403


class Unauthorized(AccessError):
    """A valid token is needed."""

    code = "unauthorized"
    status = 401
    hint = "Send `Authorization: Bearer <token>`; the server prints its address with the token when it starts."


class MissingScope(AccessError):
    """This token's scopes do not allow this."""

    code = "missing_scope"
    hint = "Make a token with that scope, or use the admin token."


class HostRefused(AccessError):
    """This server does not answer to that host name."""

    code = "host_refused"
    hint = "Use the address that the server printed when it started."


class OriginRefused(AccessError):
    """A page from another origin may not do this."""

    code = "origin_refused"
    hint = "Open the page from the server's own address. Trainers send no Origin header."


class NotThere(ServerError):
    """There is nothing at this address."""

    code = "not_found"
    status = 404
    hint = "GET /api/docs lists every route."


class MethodNotAllowed(NotThere):
    """This address does not take that method."""

    code = "method_not_allowed"
    status = 405


class UnknownRun(NotThere):
    """There is no such run."""

    code = "unknown_run"
    hint = "GET /api/runs lists them."


class UnknownAlert(NotThere):
    """There is no such alert."""

    code = "unknown_alert"
    hint = "GET /api/runs/{run}/alerts lists them."


class AlertOver(NotThere):
    """The alert is over; there is nothing to acknowledge."""

    code = "alert_over"
    status = 409
    hint = ""


class UnknownToken(NotThere):
    """There is no such token."""

    code = "unknown_token"
    hint = "GET /api/tokens lists them."


class UnknownCommand(NotThere):
    """There is no such command."""

    code = "unknown_command"
    hint = "GET /api/runs/{run}/commands lists them."


class BadRequest(ServerError):
    """The request cannot be understood."""

    code = "bad_request"
    status = 422
    hint = "GET /api/docs shows what each route takes."


class BadRunChange(BadRequest):
    """The run cannot be called, tagged or described so."""

    code = "bad_run_change"


class TooManyPoints(BadRequest):
    """One answer cannot hold so many points."""

    code = "too_many_points"
    hint = "Give a width, a shorter range or fewer series, or ask for an export, which streams."


class TooLarge(BadRequest):
    """The request's body is too large."""

    code = "too_large"
    status = 413
