"""Every failure of a broker is a sentence that says what to do, and a bug never hides behind an outage."""

from __future__ import annotations

import asyncio
import errno
import ssl

import pytest
from aiomqtt import MqttCodeError, MqttError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from agent.plugin import ObservationRefused
from plugins.outputs.mqtt.config import MqttConfig
from plugins.outputs.mqtt.faults import explain, single
from plugins.outputs.mqtt.link import steadfast

CONFIG = MqttConfig(host="10.0.0.5")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (0x84, "does not speak MQTT 5"),
        (0x85, "does not accept the client id"),
        (0x86, "wants a login"),
        (0x87, "wants a login"),
        (0x8A, "banned"),
        (0x9A, "set retain: false"),
        (0x9B, "lower qos"),
    ],
)
def test_what_somebody_has_to_change_is_said_and_given_time(code, says):
    fault = explain(MqttCodeError(ReasonCode(PacketTypes.CONNACK, identifier=code)), CONFIG)
    assert str(fault).startswith("The MQTT broker at 10.0.0.5:1883 ")
    assert says in str(fault)
    assert fault.retry_after == 60


def test_a_reason_behind_the_error_is_found():
    error = MqttError("Disconnected during message iteration")
    error.__cause__ = MqttCodeError(ReasonCode(PacketTypes.DISCONNECT, identifier=0x8E))
    assert "another client with the same client id" in str(explain(error, CONFIG))


def test_an_outage_is_tried_again_as_the_agent_likes():
    for error in (MqttError("[Errno 111] Connection refused"), TimeoutError(), OSError(5, "Input/output error")):
        assert explain(error, CONFIG).retry_after is None


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MqttError("[Errno 111] Connection refused"), "refuses connections: is it switched on, and the port right?"),
        (MqttError("[Errno -2] Name or service not known"), "no machine has the name 10.0.0.5"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "no"), "refuses connections"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "is it switched on, and the address right?"),
        (TimeoutError(), "does not answer: is it switched on"),
    ],
)
def test_an_unreachable_broker_is_told_without_numbers(error, says):
    told = str(explain(error, CONFIG))
    assert says in told
    assert "Errno" not in told
    assert not explain(error, CONFIG).act


def test_mistrust_is_found_behind_aiomqtts_words():
    error = MqttError("[SSL] …")
    error.__context__ = ssl.SSLCertVerificationError("x")
    error.__context__.verify_message = "self-signed certificate"
    assert "not trusted (self-signed certificate): check tls.ca" in str(explain(error, CONFIG))


def test_a_bug_comes_before_an_outage():
    bug, outage, refused = KeyError("x"), MqttError("gone"), ObservationRefused("too large")
    assert single(ExceptionGroup("", [outage, ExceptionGroup("", [bug])])) is bug
    assert single(ExceptionGroup("", [outage, refused])) is refused
    assert single(ExceptionGroup("", [outage])) is outage


async def test_a_cancellation_that_a_library_swallows_is_remembered():
    async def swallow():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "the result came at the same time"

    task = asyncio.create_task(steadfast(swallow()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
