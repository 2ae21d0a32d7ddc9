"""What a trainer sent and may not."""

from typing import ClassVar

from .base import ServerError


class StreamError(ServerError):
    """The trainer sent what the protocol does not allow here."""

    code = "bad_message"
    status = 400
    hint = "Report this: the trainer's lossguard and the server disagree."
    seq = 0  # of the message at fault, where it is a single one


class BadHello(StreamError):
    """The run cannot be opened."""

    code = "bad_hello"
    hint = "Check project, name and run of lg.init."


class BadName(StreamError):
    """A name cannot be used."""

    code = "bad_name"
    hint = "Names are 1 to 512 bytes of text without control characters."


class BadDeclaration(StreamError):
    """The declaration contradicts itself."""

    code = "bad_declaration"


class UnknownSeries(StreamError):
    """A frame uses a series that no schema named."""

    code = "unknown_series"


class SeriesRedefined(StreamError):
    """A series id or name was given twice with different meanings."""

    code = "series_redefined"


class TooManySeries(StreamError):
    """The run has more series than the server takes."""

    code = "too_many_series"
    hint = "Log fewer distinct names; a name should not contain a step or an id."


class DamagedFrame(StreamError):
    """A frame's checksum does not match: it was damaged on the way."""

    code = "bad_frame"
    retry: ClassVar[bool] = True
    hint = "The trainer sends it again by itself."


class ReplacedConnection(StreamError):
    """A newer connection of the same stream took over."""

    code = "replaced"
    hint = "Two processes use the same run, rank and attempt; give each its own."
