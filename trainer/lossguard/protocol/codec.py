"""Bytes to messages and back.

Rules of this file: whatever the bytes are, the outcome is a message or a RemoteProtocolError, nothing else; sizes are
checked before parsing.
"""

from typing import Any

import msgspec

from .errors import BadMessage
from .messages import MAX_MESSAGE_BYTES, Sequenced, ToServer, ToTrainer


class _Numbered(msgspec.Struct):
    """Any message, of which only the number is read."""

    seq: int = 0


_encoder = msgspec.msgpack.Encoder()
_to_server = msgspec.msgpack.Decoder(ToServer)
_to_trainer = msgspec.msgpack.Decoder(ToTrainer)
_sequenced = msgspec.msgpack.Decoder(Sequenced)
_numbered = msgspec.msgpack.Decoder(_Numbered)


def encode(message: ToServer | ToTrainer) -> bytes:
    """The message as msgpack."""
    return _encoder.encode(message)


def decode_to_server(data: bytes) -> ToServer:
    """What a trainer sent. Raises BadMessage."""
    message: ToServer = _decode(_to_server, data)
    return message


def decode_to_trainer(data: bytes) -> ToTrainer:
    """What a server sent. Raises BadMessage."""
    message: ToTrainer = _decode(_to_trainer, data)
    return message


def decode_sequenced(data: bytes) -> Sequenced:
    """What a spool or a journal holds. Raises BadMessage."""
    message: Sequenced = _decode(_sequenced, data)
    return message


def seq_of(data: bytes) -> int:
    """The number of a message that may be no message otherwise, so that it can be named in a refusal; 0: none."""
    try:
        return max(0, _numbered.decode(data).seq)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError):
        return 0


def _decode(decoder: "msgspec.msgpack.Decoder[Any]", data: bytes) -> Any:
    if len(data) > MAX_MESSAGE_BYTES:
        raise BadMessage(f"It has {len(data)} bytes; at most {MAX_MESSAGE_BYTES} are allowed.")
    try:
        return decoder.decode(data)
    # RecursionError: msgspec raises it for deeply nested maps; UnicodeDecodeError: for a broken string
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError) as error:
        raise BadMessage(f"{error}.") from error
