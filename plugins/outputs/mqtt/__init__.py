"""Tells an MQTT broker what the cameras see, has Home Assistant find them, and takes the home's commands from there.

output.py        the output itself: connect, and do several things beside each other until one of them ends
session.py       what is said and heard on one connection
announcing.py    keeps Home Assistant's announcements equal to the home
discovery.py     what an announcement holds
entities.py      a camera's entities
hub_entities.py  camscribe's own
commands.py      what is asked by MQTT: checked, obeyed, answered
payloads.py      what the messages hold
topics.py        where they go
former.py        where an earlier config had it all
memory.py        what outlives a connection
link.py          the connection: aiomqtt, and what it keeps to itself
faults.py        why it failed, in words
config.py        what config.yaml may say
"""

from plugins.outputs.mqtt.config import MqttConfig
from plugins.outputs.mqtt.output import MqttOutput

__all__ = ["MqttConfig", "MqttOutput"]
