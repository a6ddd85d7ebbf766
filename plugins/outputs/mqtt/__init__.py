"""Tells an MQTT broker what the cameras see, and takes the home's commands from there.

output.py    the output itself: connect, and do three things beside each other until one of them ends
session.py   what is said and heard on one connection
payloads.py  what the messages hold
link.py      the connection: aiomqtt, and what it keeps to itself
faults.py    why it failed, in words
config.py    what config.yaml may say
"""

from plugins.outputs.mqtt.config import MqttConfig
from plugins.outputs.mqtt.output import MqttOutput

__all__ = ["MqttConfig", "MqttOutput"]
