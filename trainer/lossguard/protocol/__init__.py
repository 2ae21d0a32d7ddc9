"""The wire between a trainer and a server: messages, their bytes, and the rules of the conversation.

Shared by both ends. Pure: no I/O, no clock, no torch.
"""

from .errors import BadFrame, BadMessage, LocalProtocolError, ProtocolError, RemoteProtocolError, is_retryable
from .messages import COMMAND_KINDS, EVENT_KINDS, MAX_MESSAGE_BYTES, PROTOCOL_VERSION, RUN_STATES, SUBPROTOCOL

__all__ = [
    "COMMAND_KINDS",
    "EVENT_KINDS",
    "MAX_MESSAGE_BYTES",
    "PROTOCOL_VERSION",
    "RUN_STATES",
    "SUBPROTOCOL",
    "BadFrame",
    "BadMessage",
    "LocalProtocolError",
    "ProtocolError",
    "RemoteProtocolError",
    "is_retryable",
]
