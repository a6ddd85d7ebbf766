"""A model's server as a process of ours: started under its guard, watched, asked over HTTP, started again, ended.

What the captioners ``llama_server`` and ``transformers`` have in common: both run a server that speaks llama-server's
API. ``owner.Engine`` owns the process; everybody else only asks for it.
"""
