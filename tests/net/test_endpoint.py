"""The [net] section: checked before anything is opened, and opened as it was checked."""

from __future__ import annotations

from typing import Any

import pytest
from net.drive import LOOPBACK, run

from deid.errors import ConfigError
from deid.net.addresses import Address
from deid.net.endpoint import SEEDS_MAX, net_settings, open_endpoint
from deid.net.profile import LAN, WAN


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"security": "curve"}, r"net\.security: expected 'plain', got 'curve'"),
        ({"profile": "moon"}, r"net\.profile: expected 'lan' or 'wan', got 'moon'"),
        ({"listen": "tcp://0.0.0.0:7701"}, r"net\.listen: plain links stay on this machine"),
        ({"listen": "tcp://localhost:7701"}, r"net\.listen: expected a numeric address"),
        ({"advertise": "tcp://192.0.2.1:1"}, r"net\.advertise: plain links stay"),
        ({"listen": None, "advertise": LOOPBACK}, r"net\.advertise: expected nothing where"),
        ({"seeds": [LOOPBACK]}, r"net\.seeds\[0\]: expected a port from 1"),
        ({"seeds": ["tcp://127.0.0.1:1", "tcp://192.0.2.1:1"]}, r"net\.seeds\[1\]: plain links"),
        ({"seeds": ["tcp://0.0.0.0:1"]}, r"net\.seeds\[0\]: expected one host"),
        ({"seeds": ["tcp://127.0.0.1:1"] * (SEEDS_MAX + 1)}, r"net\.seeds: expected at most 64"),
    ],
)
def test_a_bad_setting_is_one_clear_line_that_names_it(
    section: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        net_settings(**{"listen": LOOPBACK, **section})


def test_refusing_encryption_and_other_hosts_says_when_they_come() -> None:
    for section in ({"security": "curve"}, {"seeds": ["tcp://192.0.2.1:7701"]}):
        with pytest.raises(ConfigError) as caught:
            net_settings(listen=LOOPBACK, **section)
        assert "arrives with the keys of a later version" in str(caught.value)
        assert caught.value.exit_code == 78


def test_seeds_have_one_spelling_and_come_once() -> None:
    settings = net_settings(
        listen=None, seeds=["tcp://[0::1]:7", "tcp://[::1]:7", "tcp://LOCALHOST:8"], profile="wan"
    )

    assert settings.seeds == (Address("::1", 7), Address("localhost", 8))
    assert settings.profile is WAN


def test_an_open_endpoint_tells_its_bound_address_and_its_seeds() -> None:
    async def main() -> None:
        endpoint = open_endpoint(net_settings(listen=LOOPBACK, seeds=["tcp://LOCALHOST:8"]))
        try:
            assert endpoint.advertised.startswith("tcp://127.0.0.1:")
            assert not endpoint.advertised.endswith(":0")
            assert endpoint.seeds == ("tcp://localhost:8",)
        finally:
            await endpoint.transport.close()

    run(main())


def test_a_node_that_only_dials_advertises_nothing() -> None:
    async def main() -> None:
        endpoint = open_endpoint(net_settings(listen=None))
        await endpoint.transport.close()

        assert endpoint.advertised == ""

    run(main())


def test_an_address_that_is_taken_leaves_nothing_open() -> None:
    async def main() -> None:
        first = open_endpoint(net_settings(listen=LOOPBACK))
        try:
            with pytest.raises(ConfigError, match=r"net\.listen: cannot listen on"):
                open_endpoint(net_settings(listen=first.advertised))
        finally:
            await first.transport.close()

    run(main())


@pytest.mark.parametrize("profile", [LAN, WAN])
def test_a_profile_notices_silence_and_gives_up_a_dial_in_a_sane_order(profile: Any) -> None:
    assert profile.heartbeat_ms < profile.heartbeat_timeout_ms
    assert profile.redial_min_ms < profile.redial_max_ms <= profile.dial_give_up_ms
    assert profile.message_bytes_max <= profile.send_queue_bytes_max // 2
    assert profile.inbound_idle_ms > 10 * profile.heartbeat_ms


def test_the_lan_notices_a_silent_partition_within_five_seconds() -> None:
    assert LAN.heartbeat_ms + LAN.heartbeat_timeout_ms < 5_000


def test_a_message_may_be_as_long_as_the_codec_allows() -> None:
    from deid.wire.codec import MESSAGE_BYTES_MAX

    assert LAN.message_bytes_max == WAN.message_bytes_max == MESSAGE_BYTES_MAX
