"""Captioner plugin ``transformers``: models of Hugging Face's Transformers, in a process of their own."""
