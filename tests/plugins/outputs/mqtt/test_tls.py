"""TLS to the broker: an authority of one's own, client certificates, and what is said when they don't fit."""

from __future__ import annotations

import pytest

from agent.plugin import OutputUnavailable
from plugins.outputs.mqtt import MqttConfig, MqttOutput
from tests.fakes.broker import Broker, needs_mosquitto
from tests.fakes.certificates import Authority
from tests.fakes.deliveries import Hand, OneHome, context, delivery


@pytest.fixture
def server(authority):
    needs_mosquitto("TLS")
    return authority.pair("server", "IP:127.0.0.1,DNS:localhost")


async def talk(broker, tmp_path, options=None, **tls) -> None:
    config = MqttConfig.model_validate({**broker.config, **(options or {}), "tls": tls})
    hand = Hand([delivery(1)])
    await MqttOutput(config, context(tmp_path, "mqtt", OneHome())).deliver(hand.__aiter__())
    assert hand.confirmed == [1]


async def test_an_authority_of_ones_own(tmp_path, server, authority, caplog):
    async with Broker.running(tmp_path / "b", tls=server) as broker:
        await talk(broker, tmp_path, ca=authority.ca)
        with pytest.raises(OutputUnavailable, match=r"its certificate is not trusted \(.*\): check tls.ca") as caught:
            await talk(broker, tmp_path)
        assert caught.value.retry_after == 60
        other = Authority(tmp_path / "other", "somebody else")
        with pytest.raises(OutputUnavailable, match="its certificate is not trusted"):
            await talk(broker, tmp_path, ca=other.ca)
        await talk(broker, tmp_path, insecure=True)
        assert "anybody on the network can pose as the MQTT broker" in caplog.text


async def test_the_name_in_the_certificate_counts(tmp_path, authority):
    needs_mosquitto("TLS")
    named = authority.pair("broker.home", "DNS:broker.home")
    async with Broker.running(tmp_path / "b", tls=named) as broker:
        with pytest.raises(OutputUnavailable, match="not trusted"):
            await talk(broker, tmp_path, ca=authority.ca)
        await talk(broker, tmp_path, ca=authority.ca, server_name="broker.home")


async def test_a_client_certificate(tmp_path, server, authority):
    client = authority.pair("camscribe", "DNS:camscribe")
    async with Broker.running(tmp_path / "b", tls=server, ca=authority.ca) as broker:
        await talk(broker, tmp_path, ca=authority.ca, certificate=client.certificate, key=client.key)
        both = tmp_path / "both.pem"
        both.write_bytes(client.certificate.read_bytes() + client.key.read_bytes())
        await talk(broker, tmp_path, ca=authority.ca, certificate=both)
        locked = authority.encrypted(client, "marker")
        await talk(broker, tmp_path, ca=authority.ca, certificate=client.certificate, key=locked, key_password="marker")
        with pytest.raises(OutputUnavailable, match=r"tls\.certificate: .* can't be used"):
            await talk(broker, tmp_path, ca=authority.ca, certificate=client.certificate, key=locked)
        with pytest.raises(OutputUnavailable, match="The MQTT broker at"):  # and at once, not after the time-out
            await talk(broker, tmp_path, ca=authority.ca)


@pytest.fixture(params=["5", "3.1.1"])
def protocol(request) -> str:
    return request.param


async def test_client_certificate_and_password_together(tmp_path, server, authority, protocol):
    client = authority.pair("camscribe", "DNS:camscribe")
    files = {"ca": authority.ca, "certificate": client.certificate, "key": client.key}
    login = {"username": "cam", "password": "right", "protocol": protocol}
    async with Broker.running(tmp_path / "b", tls=server, ca=authority.ca, users={"cam": "right"}) as broker:
        await talk(broker, tmp_path, login, **files)
        assert f"(p{'5' if protocol == '5' else '2'}, " in broker.log, "it speaks the version that was asked for"
        with pytest.raises(OutputUnavailable, match="refused the user name or password") as caught:
            await talk(broker, tmp_path, login | {"password": "wrong-s3cret"}, **files)
        assert (caught.value.retry_after, caught.value.act) == (60, True)
        assert "s3cret" not in str(caught.value)
        with pytest.raises(OutputUnavailable, match=r"certificate required\): .* tls\.certificate") as caught:
            await talk(broker, tmp_path, login, ca=authority.ca)
        assert (caught.value.retry_after, caught.value.act) == (60, True)


async def test_a_brokers_certificate_that_has_expired(tmp_path, authority, protocol):
    needs_mosquitto("TLS")
    old = authority.pair(f"old-{protocol}", "IP:127.0.0.1", expired=True)
    async with Broker.running(tmp_path / "b", tls=old) as broker:
        with pytest.raises(
            OutputUnavailable, match=r"not trusted \(certificate has expired\): check .* the clock"
        ) as caught:
            await talk(broker, tmp_path, {"protocol": protocol}, ca=authority.ca)
        assert (caught.value.retry_after, caught.value.act) == (60, True)


async def test_a_client_certificate_that_has_expired(tmp_path, server, authority, protocol):
    old = authority.pair(f"old-client-{protocol}", "DNS:camscribe", expired=True)
    async with Broker.running(tmp_path / "b", tls=server, ca=authority.ca) as broker:
        with pytest.raises(OutputUnavailable, match=r"certificate expired\): .* tls\.certificate") as caught:
            await talk(
                broker,
                tmp_path,
                {"protocol": protocol},
                ca=authority.ca,
                certificate=old.certificate,
                key=old.key,
            )
        assert (caught.value.retry_after, caught.value.act) == (60, True)


async def test_plain_and_tls_mixed_up_end_quickly(tmp_path, server, broker):
    with pytest.raises(OutputUnavailable, match="The MQTT broker at"):
        await talk(broker, tmp_path, insecure=True)
    async with Broker.running(tmp_path / "b", tls=server) as locked:
        config = MqttConfig.model_validate(locked.config)
        with pytest.raises(OutputUnavailable, match="The MQTT broker at"):
            await MqttOutput(config, context(tmp_path, home=OneHome())).deliver(Hand().__aiter__())


@pytest.mark.parametrize("content", [None, "not PEM"])
async def test_a_file_that_is_not_what_it_should_be_is_named(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    config = MqttConfig.model_validate({"host": "127.0.0.1", "tls": {"ca": path}})
    with pytest.raises(OutputUnavailable, match=r"tls\.ca: .*ca\.pem") as caught:
        await MqttOutput(config, context(tmp_path, home=OneHome())).deliver(Hand().__aiter__())
    assert caught.value.retry_after == 60


async def test_websockets(tmp_path):
    needs_mosquitto("MQTT over WebSockets")
    async with Broker.running(tmp_path / "b", websockets=True) as broker:
        config = MqttConfig.model_validate({"url": f"ws://127.0.0.1:{broker.port}/mqtt"})
        hand = Hand([delivery(1)])
        await MqttOutput(config, context(tmp_path, "mqtt", OneHome())).deliver(hand.__aiter__())
        assert hand.confirmed == [1]
