"""Connections inherit what the listening socket says of buffers and dead peers."""

import socket

import pytest

from lossguard_server.errors import PortTaken
from lossguard_server.listener import PEER_SILENT_MS, SEND_BUFFER_BYTES, listening_socket


def test_a_connection_is_given_up_when_its_peer_is_silent() -> None:
    with listening_socket("127.0.0.1", 0) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == PEER_SILENT_MS
            # the kernel keeps the double of what it is asked for
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * SEND_BUFFER_BYTES


@pytest.mark.parametrize(("host", "says"), [("192.0.2.1", "assign"), ("no-such-host.invalid", "no-such-host.invalid")])
def test_an_address_that_is_not_ours_is_said(host: str, says: str) -> None:
    with pytest.raises(PortTaken, match=says):
        listening_socket(host, 0)


def test_a_taken_port_is_said_with_what_to_do() -> None:
    with listening_socket("127.0.0.1", 0) as first:
        first.listen()
        with pytest.raises(PortTaken, match="another program has it") as taken:
            listening_socket("127.0.0.1", first.getsockname()[1])
    assert "--port" in str(taken.value)
