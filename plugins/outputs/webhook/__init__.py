"""Sends each observation to a URL.

output.py    the output itself: one request a delivery, redirects, what an answer means
message.py   what is sent: JSON or a template's text, the picture, the signature
template.py  the sandbox that ``body`` is rendered in
privacy.py   what must not turn up in a sentence about a request
config.py    what config.yaml may say
"""

from plugins.outputs.webhook.config import WebhookConfig
from plugins.outputs.webhook.output import WebhookOutput

__all__ = ["WebhookConfig", "WebhookOutput"]
