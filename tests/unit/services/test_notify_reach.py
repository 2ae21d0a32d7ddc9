"""Only what is public and of one machine is reached, however its address is written."""

import socket

import pytest

from lossguard_server.errors.notifying import AddressRefused
from lossguard_server.services.notifying.reach import Reach, is_public
from lossguard_server.services.notifying.resolver import addresses, resolved


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_reached(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "168.63.129.16", "192.88.99.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1",
        "fec0::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1",
        "2002:7f00:1::", "2001:0:808:808::1", "2001:db8::1", "3fff::1", "5f00::1", "", "localhost", "2130706433",
        "0177.0.0.1", "8.8.8.8 ", "8.8.8",
    ],
)  # fmt: skip
def test_everything_else_is_not(address: str) -> None:
    assert not is_public(address)


def test_one_address_that_is_not_public_refuses_the_name() -> None:
    reach = Reach()
    assert reach.choose("example.org", 443, ["8.8.8.8", "2606:4700::1111"]) == "8.8.8.8"
    with pytest.raises(AddressRefused, match=r"leads to 10\.0\.0\.1.*--notify-allow"):
        reach.choose("example.org", 443, ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(AddressRefused, match="has no address"):
        reach.choose("example.org", 443, [])


def test_a_host_that_the_server_was_told_of_may_be_anywhere() -> None:
    reach = Reach(["Mail.corp", "10.0.0.7:8080", "[fd00::7]:25", "fd00::8"])
    assert reach.choose("mail.corp.", 25, ["10.0.0.1"]) == "10.0.0.1"
    assert reach.choose("10.0.0.7", 8080, ["10.0.0.7"]) == "10.0.0.7"
    with pytest.raises(AddressRefused):
        reach.choose("10.0.0.7", 22, ["10.0.0.7"])
    assert reach.allows("fd00::7", 25)
    assert reach.allows("[fd00::8]", 9)
    for host, port in (("10.0.0.7", 22), ("fd00::7", 26), ("x.mail.corp", 25), ("mail.corp.evil", 25), ("", 25)):
        assert not reach.allows(host, port)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "017700000001", "0177.0.0.1"])
def test_numbers_are_read_as_the_system_reads_them(host: str) -> None:
    assert addresses(host, 80, socket.AI_NUMERICHOST) == ["127.0.0.1"]


async def test_a_name_without_an_address_is_an_error_of_the_network() -> None:
    assert await resolved("127.0.0.1", 80) == ["127.0.0.1"]
    with pytest.raises(OSError, match="has no address"):
        await resolved("x" * 70 + ".invalid", 80)
