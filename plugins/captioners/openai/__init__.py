"""Captioner plugin ``openai``: any endpoint that speaks the OpenAI-compatible chat API."""
