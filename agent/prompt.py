"""The words a camera's model is asked, in the language its people read."""

from __future__ import annotations

from agent.errors import CommandRefused

LONGEST = 4000
LANGUAGES = {
    "ar": "Arabic",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hu": "Hungarian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
"""English names: models know them better than codes."""


def in_language(prompt: str, language: str | None) -> str:
    """The prompt, with the request to answer in that language (a code such as ``de`` or ``pt-BR``)."""
    if language is None:
        return prompt
    name = LANGUAGES.get(language.split("-")[0], f"the language '{language}'")
    return f"{prompt} Answer in {name}."


def checked(prompt: object) -> str:
    """A prompt that came from outside. Raises CommandRefused where it is no text that a model can be asked."""
    if not isinstance(prompt, str) or not prompt.strip() or len(prompt) > LONGEST:
        raise CommandRefused(f"A prompt is a text of 1 to {LONGEST} characters.")
    if not prompt.isascii() and prompt.encode("utf-8", "replace").decode() != prompt:
        raise CommandRefused("The prompt holds characters that are not UTF-8.")
    return prompt
