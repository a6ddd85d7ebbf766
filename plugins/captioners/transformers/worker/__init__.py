"""The process that holds the model: its own Python may lack everything that the agent needs, and imports none of it.

``python -I __main__.py serve '{…}'`` is a small server in llama-server's manner, on a Unix socket: ``/health``,
``/props`` and ``/v1/chat/completions``. So the owner and the client of the managed engine look after this one as well.
"""
