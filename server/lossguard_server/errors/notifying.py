"""What is wrong with a channel, or with the way to it."""

from .base import ServerError
from .requests import BadRequest, NotThere


class UnknownChannel(NotThere):
    """There is no such channel."""

    code = "unknown_channel"
    hint = "GET /api/channels lists them."


class BadChannel(BadRequest):
    """Nothing can be sent to such a channel."""

    code = "bad_channel"
    hint = "docs/notifications.md shows what a channel takes."


class AddressRefused(BadChannel):
    """This server does not send to that address."""

    code = "address_refused"
    hint = "Start the server with --notify-allow HOST if it is yours to reach."


class AppriseNotInstalled(ServerError):
    """Channels other than webhooks need a package that this server does not have."""

    code = "apprise_not_installed"
    status = 501
    hint = "Install it where the server runs: pip install 'lossguard[notify]'."
