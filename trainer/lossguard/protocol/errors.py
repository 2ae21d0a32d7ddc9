"""What can go wrong on the wire, as one tree.

    ProtocolError
     +- LocalProtocolError       we misused the protocol
     +- FileTrouble              a spool's file on this machine, which is nobody else's fault
     +- RemoteProtocolError      the peer did; the connection ends
         +- BadMessage           not a message at all
         +- BadFrame             a frame whose columns, sizes or checksum do not agree

Rules of this file: the docstring is the sentence a person reads; data travels as attributes; whether to try again
is decided by `is_retryable` alone.
"""


class ProtocolError(Exception):
    """The two ends disagree."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        sentence = (self.__doc__ or "").strip().splitlines()[0]
        return f"{sentence} {self.detail}".strip()


class LocalProtocolError(ProtocolError):
    """This end used the protocol in a way that its state does not allow."""


class FileTrouble(ProtocolError):
    """A file of the spool cannot be read or written."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that the protocol does not allow here."""


class BadMessage(RemoteProtocolError):
    """The bytes are not a lossguard message."""


class BadFrame(RemoteProtocolError):
    """The frame's columns, sizes or checksum do not agree."""


def is_retryable(error: Exception) -> bool:
    """True when a fresh connection may succeed: bytes may be damaged on the way; our own misuse would only repeat."""
    return isinstance(error, RemoteProtocolError | OSError)
