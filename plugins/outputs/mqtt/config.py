"""What config.yaml may say for the MQTT output."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from agent.plugin import Duration, PluginConfig, SecretStr, SecretUrl, Size
from plugins.tls import Tls

SCHEMES = ("mqtt", "mqtts", "ws", "wss")


def _as_written(value: Any) -> Any:
    # YAML reads `protocol: 5` as a number.
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else value


class Address(NamedTuple):
    """Where the broker is and how to log in, from ``url`` or from the single options."""

    host: str
    port: int
    username: str | None
    password: SecretStr | None
    tls: Tls | None
    path: str | None
    """The WebSocket's path; None for plain MQTT."""

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class MqttConfig(PluginConfig):
    host: str | None = Field(None, min_length=1)
    """The broker's host name or address, such as ``homeassistant.local``. Or say it all with ``url``."""
    port: int | None = Field(None, ge=1, le=65535)
    """Left out: 1883, or 8883 with ``tls``."""
    url: SecretUrl | None = None
    """The broker in one line: ``mqtt://user:password@host:1883``, ``mqtts://…``, ``ws://host:9001/mqtt`` or ``wss://…``."""
    username: str | None = None
    """The user name to log in with."""
    password: SecretStr | None = None
    """The user's password."""
    tls: bool | Tls = False
    """``true``: encrypt, trusting the system's authorities. Or a mapping with the files to use."""
    protocol: Annotated[Literal["5", "3.1.1"], BeforeValidator(_as_written)] = "5"
    """The MQTT version. ``3.1.1`` for brokers that don't speak 5."""
    client_id: str | None = Field(None, min_length=1, max_length=65535)
    """What the broker knows this client by; one per client. Left out: made up once and kept in the data folder."""
    base_topic: str = "camscribe"
    """What all topics begin with; another one for each camscribe on the same broker."""
    discovery: bool = True
    """Announce the cameras to Home Assistant, which then has a device for each by itself. ``false`` takes back what was
    announced."""
    discovery_prefix: str = "homeassistant"
    """Where Home Assistant looks for announcements: its MQTT integration's *discovery prefix*."""
    birth_topic: str = "homeassistant/status"
    """Where Home Assistant says that it has started, and everything is told once more: its *birth message topic*."""
    birth_payload: str = Field("online", min_length=1)
    """What it says there."""
    qos: Literal[0, 1, 2] = 1
    """Quality of service of what is published. With 0 the broker confirms nothing, so an outage loses observations."""
    retain: bool = True
    """Let the broker keep the last state, picture and availability. ``false`` for brokers that can't."""
    keepalive: Duration = Field(60.0, ge=10, le=65535)
    """So long after camscribe fell silent the broker tells everybody that it is offline, at the latest."""
    max_packet_size: Size = Field(2_000_000, ge=1024)
    """Larger messages are not sent (a picture, as a rule), even if the broker has named no limit of its own."""

    @field_validator("base_topic", "discovery_prefix", "birth_topic")
    @classmethod
    def _can_be_published_to(cls, base: str) -> str:
        if not base or base != base.strip("/ ") or "//" in base or set(base) & set("+#\0"):
            raise ValueError("a topic such as camscribe or home/camscribe: no + or #, no / at either end")
        if base.startswith("$") or len(base) > 200:
            raise ValueError("must not begin with $ and be at most 200 characters long")
        return base

    @field_validator("url")
    @classmethod
    def _url_names_a_broker(cls, url: SecretUrl | None) -> SecretUrl | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url.get_secret_value())
            known = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
        except ValueError:
            known = False
        if not known:
            raise ValueError(
                "found a text that is not shown; mqtt://host:port, mqtts://, ws:// or wss:// is allowed, "
                "and user:password@ before the host"
            )
        if parts.query or parts.fragment or (parts.path.strip("/") and parts.scheme.startswith("mqtt")):
            raise ValueError("nothing may follow the host and port (a path only with ws:// and wss://)")
        return url

    @model_validator(mode="after")
    def _a_place_of_its_own(self) -> Self:
        if f"{self.base_topic}/".startswith((f"{self.discovery_prefix}/", "homeassistant/")):
            raise ValueError(
                f"base_topic {self.base_topic} is within Home Assistant's own place for announcements: choose another"
            )
        return self

    @model_validator(mode="after")
    def _one_address_and_one_login(self) -> Self:
        if (self.host is None) == (self.url is None):
            raise ValueError("name the broker with host, or with url" + (", not with both" if self.host else ""))
        if self.url:
            parts = urlsplit(self.url.get_secret_value())
            if self.port is not None:
                raise ValueError("the port belongs into url")
            if parts.username is not None and (self.username is not None or self.password is not None):
                raise ValueError("username and password stand in url already")
            if self.tls and parts.scheme in ("mqtt", "ws"):
                raise ValueError(f"tls goes with {parts.scheme}s://, and url begins with {parts.scheme}://")
        if self.address.password is not None and not self.address.username:
            raise ValueError("a password needs a username")
        return self

    @property
    def address(self) -> Address:
        parts = urlsplit(self.url.get_secret_value() if self.url else f"mqtt://h{'s' if self.tls else ''}")
        secure = bool(self.tls) or parts.scheme in ("mqtts", "wss")
        web = parts.scheme in ("ws", "wss")
        tls = (self.tls if isinstance(self.tls, Tls) else Tls()) if secure else None
        host, port = (parts.hostname, parts.port) if self.url else (self.host, self.port)
        usual = (443 if secure else 80) if web else (8883 if secure else 1883)
        return Address(
            host=host or "",
            port=port or usual,
            username=unquote(parts.username) if parts.username else self.username,
            password=SecretStr(unquote(parts.password)) if parts.password else self.password,
            tls=tls,
            path=(parts.path or "/mqtt") if web else None,
        )
