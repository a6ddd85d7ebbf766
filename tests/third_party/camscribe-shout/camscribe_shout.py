from collections.abc import AsyncIterator

from agent.plugin import ConfigPath, Delivery, Output, PluginConfig


class ShoutConfig(PluginConfig):
    file: ConfigPath
    """Where the shouts go."""


class Shout(Output[ShoutConfig]):
    async def deliver(self, deliveries: AsyncIterator[Delivery]) -> None:
        with self.config.file.open("a") as file:
            async for delivery in deliveries:  # asking for the next one confirms the last
                if delivery.observation.caption:
                    print(delivery.observation.caption.upper(), file=file, flush=True)
