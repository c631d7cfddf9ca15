"""`python -m processors worker` on the topics of one benchmark: `worker.py PREFIX [arguments of worker]`.

The names of topics and group are constants of the service; here, and only here, they get a prefix, before anything reads them.
"""

import sys

from mode import loop

from schemas import topics

prefix, *arguments = sys.argv[1:]
topics.READINGS, topics.CONFIG, topics.INDICATORS = (prefix + name for name in (topics.READINGS, topics.CONFIG, topics.INDICATORS))
loop.use("uvloop")

from processors import app  # noqa: E402 - the names must be changed first
from processors.__main__ import main  # noqa: E402

app.GROUP = prefix + app.GROUP
sys.argv[1:] = []
sys.exit(main(["worker", *arguments]))
