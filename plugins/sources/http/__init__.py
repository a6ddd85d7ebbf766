"""A network camera that is asked for a picture over HTTP.

source.py    the source itself: one look, and what is told of it
client.py    a request: logged in, redirected      login.py    bearer, basic, digest
body.py      an answer, never more than fits       sniff.py    picture, stream, or neither
parts.py     the pictures of a multipart stream    stream.py   … without what the camera had kept from before
kept.py      a stream that is kept open            age.py      how old a picture is by what its server says
sameness.py  the same picture again and again      beat.py     whether this process stood still
resolve.py   where a name leads                    trouble.py  what can be wrong, in words
address.py, config.py, pace.py, progress.py
"""

from plugins.sources.http.config import HttpConfig
from plugins.sources.http.source import HttpSource

__all__ = ["HttpConfig", "HttpSource"]
