"""What config.yaml may say about an HTTP camera."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from agent.plugin import PluginConfig, SecretUrl
from plugins.sources.http.address import Address, read_address
from plugins.tls import Tls


class HttpConfig(PluginConfig):
    """A camera or a server that answers with a picture, or with a stream of JPEGs (MJPEG): the answer tells which."""

    model_config = ConfigDict(hide_input_in_errors=True)

    url: SecretUrl = Field(
        description="The picture's or the MJPEG stream's address: http://user:password@host/path. The password may "
        "hold any character, as it is or percent-quoted (%41 in it means A; where it doesn't, use the setting "
        "password). An @ behind the host is written %40. Prefer the address of single pictures: it costs nothing "
        "between looks."
    )
    username: str | None = Field(None, description="The user name, taken literally; wins over the one in the URL.")
    password: SecretStr | None = Field(None, description="The password, taken literally; wins over the one in the URL.")
    auth: Literal["auto", "digest", "basic"] = Field(
        "auto",
        description="How user name and password are sent. auto: as the camera asks, digest where it has the choice. "
        "digest: never in the clear. basic: with the first request, for a camera that does not ask.",
    )
    token: SecretStr | None = Field(
        None, description="A bearer token instead of a password, such as Home Assistant's long-lived access token."
    )
    connect: Literal["on_demand", "always"] = Field(
        "on_demand",
        description="on_demand: a stream is opened at each look and closed after it, which leaves the camera to others "
        "and the network alone. always: it is kept open, for a look every few seconds. Single pictures are asked for "
        "at each look in any case.",
    )
    discard: int = Field(
        0,
        ge=0,
        le=5,
        description="How many pictures to fetch and throw away at each look, for a camera that first hands out what "
        "it took at the last look (many an ESP32-CAM: 1 to 3).",
    )
    tls: Tls = Field(Tls(), description="Whom to trust on https, and a client certificate.")

    @field_validator("token")
    @classmethod
    def _token_can_be_sent(cls, token: SecretStr | None) -> SecretStr | None:
        text = token.get_secret_value() if token is not None else "x"
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("found a text that is not shown; one word of plain ASCII is allowed")
        return token

    @property
    def address(self) -> Address:
        password = self.password.get_secret_value() if self.password is not None else None
        return read_address(self.url.get_secret_value(), self.username, password)

    @model_validator(mode="after")
    def _has_an_address_and_one_login(self) -> Self:
        address = self.address
        if self.token is not None and (address.user or address.password):
            raise ValueError("a token goes without user name and password: leave one of them out")
        return self
