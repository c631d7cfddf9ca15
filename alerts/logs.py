"""Logs of the alerts: one line an event, on stderr, with its fields behind it."""

import logging


class Fields(logging.Formatter):
    """A line with the fields of its record behind the sentence: ` reason=... partition=3`."""

    KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "data"}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = {name: value for name, value in vars(record).items() if name not in self.KNOWN}
        shown = "".join(f" {name}={value!r}" for name, value in fields.items())
        first, *rest = super().format(record).split("\n")
        return "\n".join([first + shown, *rest])


def set_up() -> None:
    """Ours from INFO on."""
    handler = logging.StreamHandler()
    handler.setFormatter(Fields("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # Without a broker it complains fifty times a second; that it is away is said once, by us.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
