"""Logs of the doors: one line an event, on stderr, with its fields behind it."""

import logging

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FieldsFormatter(logging.Formatter):
    """`2026-11-23 10:00:00,000 WARNING ingest.clock waiting for Kafka error='...'`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        fields = {k: v for k, v in vars(record).items() if k not in _USUAL}
        return " ".join([super().format(record), *(f"{k}={v!r}" for k, v in fields.items())])


def set_up() -> None:
    """Ours from INFO on. The Kafka client's forty lines a lost broker are told by us in one."""
    handler = logging.StreamHandler()
    handler.setFormatter(FieldsFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
