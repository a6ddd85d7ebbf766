"""The words a camera's model is asked, in the language its people read."""

from __future__ import annotations

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
