"""What config.yaml may say for the webhook output, and what each wrong word is answered with."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from plugins.outputs.webhook import WebhookConfig

URL = {"url": "https://example.org/marker-s3cret"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "Field required"),
        ({"url": "ftp://marker-s3cret"}, "begins with https:// or http://"),
        ({"url": "https://"}, "found a text that is not shown; a URL that begins with https:// or http://"),
        ({"url": "example.org/marker-s3cret"}, "begins with https:// or http://"),
        ({**URL, "method": "GET"}, "'POST', 'PUT' or 'PATCH'"),
        ({**URL, "headers": {"X Y": "marker-s3cret"}}, "'X Y' can't be a header's name"),
        ({**URL, "headers": {"X": "marker-s3cret\r\nHost: x"}}, "one line of plain ASCII"),
        ({**URL, "headers": {"X": "marker-s3cret-ä"}}, "one line of plain ASCII"),
        ({**URL, "headers": {"Content-Type": "x/y"}}, "use content_type for it"),
        ({**URL, "headers": {"Webhook-Id": "1"}}, "it is the observation's id"),
        ({**URL, "body": "a\n{{ caption | }}"}, "line 2 of the template: "),
        ({**URL, "body": "{{ caption | tojsn }}"}, "No filter named 'tojsn'"),
        ({**URL, "body": "{% if caption %}"}, "line 1 of the template: Unexpected end of template"),
        ({**URL, "body": "{{ captoin }}"}, "did you mean caption?"),
        ({**URL, "body": "{{ zzz }}"}, "the template names zzz, which is not there; there are ad_hoc, answers, camera"),
        ({**URL, "content_type": "text/plain"}, "needs a body of its own"),
        ({**URL, "content_type": "text", "body": "x"}, "a media type such as"),
        ({**URL, "content_type": "text/plain\r\nX: y", "body": "x"}, "a media type such as"),
        ({**URL, "secret": ""}, "found an empty text; whsec_ and base64"),
        ({**URL, "secret": "whsec_marker-s3cret!"}, "whsec_ and base64"),
        ({**URL, "secret": "whsec_"}, "whsec_ and base64"),
        ({**URL, "secret": "x", "picture": "multipart"}, "can't be signed"),
        ({**URL, "picture": "jpeg"}, "'none', 'base64' or 'multipart'"),
        ({**URL, "tls": {"key": "k.pem"}}, "need the certificate"),
        ({**URL, "retries": 3}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_word_is_answered_with_what_is_right(options, says):
    with pytest.raises(ValidationError) as caught:
        WebhookConfig.model_validate(options)
    text = "\n".join(error["msg"] for error in caught.value.errors())
    assert says in text
    assert "s3cret" not in text


@pytest.mark.parametrize(
    "body",
    [
        "{% set words = caption.split() %}{% for word in words %}{{ loop.index }} {{ word }}{% endfor %}",
        "{{ observation | tojson }}",
        "{{ error.message if error else caption }}",
        "{{ range(3) | list }} {{ picture_base64 }}",
    ],
)
def test_templates_that_are_fine(body):
    assert WebhookConfig.model_validate({**URL, "body": body}).body == body


def test_no_secret_is_printed():
    config = WebhookConfig.model_validate(
        {
            "url": "https://u:marker-s3cret@example.org/marker-s3cret?k=marker-s3cret",
            "headers": {"X": "marker-s3cret"},
            "secret": "marker-s3cret",
        }
    )
    assert "s3cret" not in repr(config) + str(config.model_dump())
    assert "example.org" in repr(config)


def test_every_field_is_described():
    assert [name for name, field in WebhookConfig.model_fields.items() if not field.description] == []
