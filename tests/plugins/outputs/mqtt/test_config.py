"""What config.yaml may say for the MQTT output, and what each wrong word is answered with."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from plugins.outputs.mqtt import MqttOutput
from plugins.outputs.mqtt.config import MqttConfig
from plugins.tls import Tls


@pytest.mark.parametrize(
    ("options", "address", "user", "path"),
    [
        ({"host": "broker"}, "broker:1883", None, None),
        ({"host": "broker", "tls": True}, "broker:8883", None, None),
        ({"host": "broker", "tls": {"insecure": True}}, "broker:8883", None, None),
        ({"host": "::1", "port": 1884}, "[::1]:1884", None, None),
        ({"host": "b", "username": "cam", "password": "x"}, "b:1883", ("cam", "x"), None),
        ({"host": "b", "username": "cam"}, "b:1883", ("cam", None), None),
        ({"url": "mqtt://cam:p%40ss%2F@b"}, "b:1883", ("cam", "p@ss/"), None),
        ({"url": "mqtts://[::1]"}, "[::1]:8883", None, None),
        ({"url": "mqtt://b", "username": "cam", "password": "x"}, "b:1883", ("cam", "x"), None),
        ({"url": "ws://b"}, "b:80", None, "/mqtt"),
        ({"url": "wss://b/broker", "tls": {"ca": "/ca.pem"}}, "b:443", None, "/broker"),
    ],
)
def test_where_the_broker_is(options, address, user, path):
    found = MqttConfig.model_validate(options).address
    assert str(found) == address
    assert found.path == path
    password = found.password.get_secret_value() if found.password else None
    assert (found.username, password) == (user or (None, None))
    assert bool(found.tls) == (bool(options.get("tls")) or "s://" in options.get("url", "").replace("ws://", "w://", 1))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "name the broker with host, or with url"),
        ({"host": "b", "url": "mqtt://b"}, "not with both"),
        ({"host": "b", "password": "marker-s3cret"}, "a password needs a username"),
        ({"url": "mqtt://cam:marker-s3cret@b", "username": "cam"}, "stand in url already"),
        ({"url": "mqtt://b", "port": 1883}, "the port belongs into url"),
        ({"url": "mqtt://b", "tls": True}, "tls goes with mqtts://"),
        ({"url": "http://cam:marker-s3cret@b"}, "mqtt://host:port"),
        ({"url": "mqtt://cam:marker-s3cret@b:99999"}, "mqtt://host:port"),
        ({"url": "mqtt://cam:marker-s3cret@b/x"}, "nothing may follow the host and port"),
        ({"host": "b", "base_topic": "cam/#"}, "no + or #"),
        ({"host": "b", "base_topic": "/cam"}, "no / at either end"),
        ({"host": "b", "base_topic": ""}, "a topic such as camscribe"),
        ({"host": "b", "base_topic": "$SYS"}, "must not begin with"),
        ({"host": "b", "base_topic": "homeassistant/cam"}, "Home Assistant's own place"),
        ({"host": "b", "protocol": "3.1"}, "'5' or '3.1.1'"),
        ({"host": "b", "qos": 3}, "0, 1 or 2"),
        ({"host": "b", "tls": {"key": "/k.pem"}}, "need the certificate they belong to"),
        ({"host": "b", "hots": "c"}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_word_is_answered_with_what_is_right(options, says):
    with pytest.raises(ValidationError) as caught:
        MqttConfig.model_validate(options)
    text = "\n".join(error["msg"] for error in caught.value.errors())
    assert says in text
    assert "s3cret" not in text


def test_yaml_reads_a_5_as_a_number():
    assert MqttConfig.model_validate({"host": "b", "protocol": 5}).protocol == "5"


def test_no_secret_is_printed():
    config = MqttConfig.model_validate({"url": "mqtt://cam:marker-s3cret@b"})
    assert "s3cret" not in repr(config) + repr(config.address) + str(config.model_dump())


@pytest.mark.parametrize("model", [MqttConfig, Tls])
def test_every_field_is_described(model):
    assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_two_of_the_same_place_are_known_as_such():
    same = [{"host": "h"}, {"url": "mqtt://u:p@h:1883"}, {"host": "h", "port": 1883, "qos": 0}]
    other = [{"host": "h", "port": 1884}, {"host": "h", "base_topic": "barn"}, {"host": "i"}]
    places = [MqttOutput.place(MqttConfig.model_validate(options)) for options in (*same, *other)]
    assert len({*places[:3]}) == 1
    assert len({*places}) == 4
