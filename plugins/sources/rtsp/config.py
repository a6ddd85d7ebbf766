"""What config.yaml may say about an RTSP camera."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, SecretStr, model_validator

from agent.plugin import PluginConfig, SecretUrl
from plugins.sources.rtsp.address import Address, read_address


class RtspConfig(PluginConfig):
    model_config = ConfigDict(hide_input_in_errors=True)

    url: SecretUrl = Field(
        description="The stream's address: rtsp://user:password@host:554/path. The password may hold any character, "
        "as it is or percent-quoted (%41 in it means A; where it doesn't, use the setting password). An @ behind the "
        "host is written %40. Take the camera's small stream (often called substream): it costs a third, and the "
        "model scales pictures down anyway. rtsps:// encrypts; the camera's certificate is not checked, as cameras "
        "have none but their own."
    )
    username: str | None = Field(None, description="The user name, taken literally; wins over the one in the URL.")
    password: SecretStr | None = Field(None, description="The password, taken literally; wins over the one in the URL.")
    transport: Literal["tcp", "udp"] = Field(
        "tcp",
        description="How the pictures come. udp only for a camera that can't do tcp: lost packets damage pictures.",
    )
    connect: Literal["always", "on_demand"] = Field(
        "always",
        description="always stays connected: a look takes the next key frame at once. on_demand connects at each look "
        "and hangs up after it: for a camera looked at every 30 s or more rarely, one that allows a single viewer, or "
        "a line that is paid by the byte; a look then takes some seconds, until the camera sends a key frame.",
    )

    @property
    def address(self) -> Address:
        password = self.password.get_secret_value() if self.password is not None else None
        return read_address(self.url.get_secret_value(), self.username, password)

    @model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if self.address.encrypted and self.transport == "udp":
            raise ValueError("rtsps:// goes over tcp only: leave transport out, or write rtsp://")
        return self
