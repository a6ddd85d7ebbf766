"""Why the broker can't be talked to, as sentences that say what to do."""

from __future__ import annotations

from aiomqtt import MqttCodeError, MqttError
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from agent.plugin import OutputUnavailable
from plugins.outputs.mqtt.config import Address, MqttConfig
from plugins.outputs.mqtt.link import Refused
from plugins.outputs.trust import FIX_FIRST
from plugins.tls import distrust
from plugins.unreachable import why

UNAVAILABLE = (MqttError, OSError, TimeoutError)

_REASONS = {
    0x84: "does not speak MQTT {protocol}: set protocol to the other version",
    0x85: "does not accept the client id: set another client_id",
    0x8A: "has banned this client",
    0x8E: "has another client with the same client id, which took over: give each camscribe a client_id of its own",
    0x95: "found a message too large: lower max_packet_size",
    0x9A: "can't keep retained messages: set retain: false",
    0x9B: "does not support this quality of service: lower qos",
}


def explain(error: BaseException, config: MqttConfig) -> OutputUnavailable:
    """The sentence for one of ``UNAVAILABLE``."""
    broker = f"The MQTT broker at {config.address}"
    if what := _to_be_changed(error, config):
        return OutputUnavailable(f"{broker} {what}.", FIX_FIRST, act=True)
    if isinstance(error, TimeoutError) or str(error) == "Operation timed out":
        return OutputUnavailable(f"{broker} does not answer: is it switched on, and address and port right?")
    if str(error) == "Disconnected during message iteration" or _lost(error):
        return OutputUnavailable(f"{broker} closed the connection.")
    if words := why(error, config.address.host):
        return OutputUnavailable(f"{broker} {words}")
    return OutputUnavailable(f"{broker} can't be reached: {str(error) or type(error).__name__}.")


def _to_be_changed(error: BaseException, config: MqttConfig) -> str | None:
    """What time alone won't mend."""
    answer = _answer(error)
    if answer and answer.value in (0x86, 0x87):
        return f"{_login(config.address)} ({answer})"
    if answer and answer.value in _REASONS:
        return _REASONS[answer.value].format(protocol=config.protocol)
    if isinstance(error, Refused):
        return str(error)
    mistrust = distrust(error)
    return f"can't be trusted: {mistrust}" if mistrust else None


def _answer(error: BaseException | None) -> ReasonCode | None:
    """The broker's own reason, where it gave one."""
    while error:
        if isinstance(error, MqttCodeError) and isinstance(error.rc, ReasonCode):
            return error.rc
        error = error.__cause__
    return None


def _lost(error: BaseException) -> bool:
    """A publish found out before anybody else."""
    gone = (MQTTErrorCode.MQTT_ERR_NO_CONN, MQTTErrorCode.MQTT_ERR_CONN_LOST)
    return isinstance(error, MqttCodeError) and error.rc in gone


def _login(address: Address) -> str:
    if address.username is None:
        return "wants a login: set username and password"
    return "refused the user name or password: check username and password"


def single(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error behind tasks that fell together: a bug before an outage, so that no bug hides behind one."""
    leaves = list(_leaves(errors))
    return next((error for error in leaves if not isinstance(error, (*UNAVAILABLE, OutputUnavailable))), leaves[0])


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
