"""Sends what units hear of what they sent to weir.feedback.v1, and takes in the stops that they declare.

What was refused, within seconds; what would become of what they sent to be tried; whether a declared stop is taken,
of which alerts are then told; and, once a business day is over in every partition, each unit's account of it, signed.
One at a time: a second one stands by. At least once, in order for each unit; the worker waits for nobody.
"""

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import orjson
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from prometheus_client import Counter

from processors.account_seal import Seal, SealError
from processors.feedback_store import FeedbackStore
from processors.migrate import MigrationError, database_url
from processors.one_leads import Kafka, LeaderMetrics, Outgoing, add_words, carry_out
from processors.stop_store import Origin
from processors.trial import answer
from schemas import topics
from schemas.factors import default_pack
from schemas.registry import is_unit
from schemas.section import partition_of
from schemas.settings import Settings, SettingsError, kafka_client
from schemas.stop import DOOR_HEADER
from schemas.wire import LayoutError, decode

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_BATCH = 500
_TRIES = 20
"""Tries answered in one go: what was refused goes before."""
_ACCOUNTS_SECONDS = 60.0
_ALL_ACCOUNTS_SECONDS = 3_600.0
_RECENT_DAYS, _ALL_DAYS = 3, 40
"""Days back whose accounts are looked at each minute, and each hour: as long as the log is kept."""

_EPILOG = """examples:
  python -m processors feedback             send as it comes; stand by where another one runs
  python -m processors feedback --once      send what waits, then end
  python -m processors feedback --new-key /etc/weir/feedback.pem > feedback-public.pem
                                            a key that signs accounts; its public half is for every unit
  WEIR_FEEDBACK_KEY_FILE=/etc/weir/feedback.pem python -m processors feedback --public-key
  python -m ingest feedback                 pass it on to the units by MQTT
  python -m ingest verify --key feedback-public.pem accounts.jsonl

Without WEIR_FEEDBACK_KEY_FILE no account is sent; everything else is. A key is changed by giving another one:
accounts name the key that signed them.

Exit codes: 0 stopped, or all that waited is sent; 1 settings are missing, or (with --once) the database or Kafka
is away or another one sends; 70 the tables are not those of this release."""


class FeedbackMetrics(LeaderMetrics):
    """Of `python -m processors feedback`. Created by the process that serves them."""

    def __init__(self) -> None:
        """Every series exists from the start."""
        super().__init__("weir_feedback_leads", "1: the one that sends; 0: it stands by.")
        self.sent = Counter(
            "weir_feedback_sent",
            "Messages that Kafka acknowledged, by kind.",
            ["kind"],
            registry=self.registry,
        )
        for kind in ("refused", "account", "tried", "stop"):
            self.sent.labels(kind)


class Sender:
    """Moves feedback from the database to Kafka, and answers tries."""

    def __init__(
        self,
        store: FeedbackStore,
        metrics: FeedbackMetrics,
        *,
        settings: Settings,
        seal: Seal | None = None,
        accounts_every_s: float = _ACCOUNTS_SECONDS,
    ) -> None:
        """Connects to nothing yet. Without a seal no account is sent."""
        self._store, self.metrics, self._seal = store, metrics, seal
        self._settings = settings
        self._kafka = Kafka(settings.kafka)
        self._asked: KafkaConsumer | None = None
        self._pack = default_pack()
        self._accounts_at, self._accounts_every_s = 0.0, accounts_every_s
        self._all_accounts_at = 0.0
        self.stopped = threading.Event()

    def turn(self) -> bool:
        """Send what waits, at most a batch of each partition; whether there may be more."""
        leads = self.lead()
        self.metrics.leads.set(leads)
        more = leads and (self._refused() or self._stops() or self._accounts())
        self.metrics.moved()
        return more

    def lead(self) -> bool:
        """Whether this is the one that sends."""
        return self._store.lead()

    def close(self) -> None:
        """Give up the connections, and the lead."""
        self.forget()
        self._store.close()

    def _refused(self) -> bool:
        rows = self._store.unsent(_BATCH)
        if rows:
            self._send("refused", [(row.unit, row.payload) for row in rows])
            self._store.sent(rows)
        return bool(rows)

    def _stops(self) -> bool:
        """Tell alerts of stops that were entered, by whichever way."""
        settings = self._settings
        messages = self._store.untold_stops(
            generation=settings.generation, partitions=settings.partitions, limit=_BATCH
        )
        if messages:
            self._kafka.deliver(
                Outgoing(
                    settings.indicators_topic,
                    one.unit,
                    one.payload,
                    partition_of(one.unit, settings.partitions),
                )
                for one in messages
            )
            self._store.stops_told(messages)
        return bool(messages)

    def _accounts(self) -> bool:
        """Now and then: what is due changes once a day, and by what comes late."""
        now = time.monotonic()
        if self._seal is None or now < self._accounts_at:
            return False
        days = _ALL_DAYS if now >= self._all_accounts_at else _RECENT_DAYS
        due = self._store.tell_accounts(self._seal.signed, days=days, limit=_BATCH)
        rows = self._store.unsent_accounts(_BATCH)
        if rows:
            self._send("account", [(row.unit, row.payload) for row in rows])
            self._store.accounts_sent(rows)
        if not due:
            self._accounts_at = now + self._accounts_every_s
            self._all_accounts_at = (
                now + _ALL_ACCOUNTS_SECONDS if days == _ALL_DAYS else self._all_accounts_at
            )
        return bool(rows or due)

    def pause(self) -> None:
        """Wait a moment for what is to be tried, and for declared stops, and answer them."""
        if not self.lead():
            self.stopped.wait(_POLL_SECONDS)
            return
        if self._asked is None:
            self._asked = _consumer_of_asked(self._settings)
        polled = self._asked.poll(timeout_ms=int(_POLL_SECONDS * 1_000), max_records=_TRIES)
        tries = self._settings.topic_prefix + topics.TRIES
        for place, records in polled.items():
            if place.topic == tries:
                self._send("tried", list(chain.from_iterable(map(self._answers, records))))
            else:
                self._send("stop", [self._declared(record) for record in records])
        if polled:
            self._asked.commit()

    def _declared(self, record: ConsumerRecord, *, tried: bool = False) -> tuple[str, bytes]:
        """Take in one declaration, or only check it; what its unit is told."""
        unit = (record.key or b"").decode(errors="replace")
        door = dict(record.headers).get(DOOR_HEADER, b"?").decode(errors="replace")
        source = f"{record.partition}-{record.offset}-{record.timestamp}" + (
            "-try" if tried else ""
        )
        origin = Origin(unit, door, source)
        told = self._store.declared(record.value or b"{}", origin, tried=tried)
        return unit, orjson.dumps(told)

    def _answers(self, record: ConsumerRecord) -> Iterator[tuple[str, bytes]]:
        if DOOR_HEADER in dict(record.headers):
            yield self._declared(record, tried=True)
            return
        try:
            body = decode(record.value or b"").body
        except LayoutError as error:
            logger.warning("a try cannot be read", extra={"reason": str(error)})
            return
        for part in body if isinstance(body, tuple) else ():
            if is_unit(part.unit):
                about = self._store.about(part.unit, at=part.received_at)
                try:
                    answered = answer(part, about, self._pack)
                except Exception:
                    # Whatever one unit tries, the others hear what was refused of theirs.
                    logger.exception("a try could not be answered", extra={"unit": part.unit})
                    continue
                yield part.unit, answered

    def _send(self, kind: str, messages: Sequence[tuple[str, bytes]]) -> None:
        topic = self._settings.topic_prefix + topics.FEEDBACK
        self._kafka.deliver(Outgoing(topic, unit, payload) for unit, payload in messages)
        self.metrics.sent.labels(kind).inc(len(messages))

    def forget(self) -> None:
        """Give the connections to Kafka up."""
        self._kafka.forget()
        if self._asked is not None:
            self._asked.close(autocommit=False, timeout_ms=1_000)
            self._asked = None


def _consumer_of_asked(settings: Settings) -> KafkaConsumer:
    """All partitions: one process answers, and the group only keeps how far it is."""
    prefix = settings.topic_prefix
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka.split(","),
        **kafka_client(),
        group_id=prefix + topics.TRIES_GROUP,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        allow_auto_create_topics=False,
    )
    places = []
    for topic in (prefix + topics.TRIES, prefix + topics.STOPS):
        numbers = consumer.partitions_for_topic(topic) or set()
        if not numbers:
            logger.error(
                "no such topic: run `python -m ingest topics create`", extra={"topic": topic}
            )
        places += [TopicPartition(topic, number) for number in sorted(numbers)]
    consumer.assign(places)
    return consumer


def main(arguments: Sequence[str]) -> int:
    """Send as it comes, or (with --once) what waits."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)
    if options.new_key:
        return _new_key(options.new_key)
    try:
        settings = Settings.read()
        pem = settings.feedback_key
        seal = Seal.of(pem.get_secret_value()) if pem else None
        if options.public_key:
            return _public_key(seal)
        url = database_url()
    except (SettingsError, MigrationError, SealError) as error:
        sys.stderr.write(f"feedback: {str(error).strip()}\n")
        return 1
    if seal is None:
        logger.warning("no account is sent: WEIR_FEEDBACK_KEY_FILE is not set")
    sender = Sender(
        FeedbackStore(url),
        FeedbackMetrics(),
        settings=settings,
        seal=seal,
        accounts_every_s=options.accounts_every,
    )
    return carry_out(
        "feedback",
        sender,
        options,
        another="another one sends what waits",
        waits="feedback waits",
    )


def _new_key(path: Path) -> int:
    """Write a private key where there is none, and print its public half."""
    seal = Seal.new()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(seal.private_pem())
    except OSError as error:
        sys.stderr.write(f"feedback: {path} cannot be written: {error}\n")
        return 1
    return _public_key(seal)


def _public_key(seal: Seal | None) -> int:
    if seal is None:
        sys.stderr.write("feedback: WEIR_FEEDBACK_KEY_FILE is not set\n")
        return 1
    sys.stdout.write(seal.public_pem())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m processors feedback",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_words(parser, port=9470, once_help="send what waits, then end")
    parser.add_argument(
        "--new-key",
        type=Path,
        metavar="FILE",
        help="write a private key there, print the public one, and end",
    )
    parser.add_argument(
        "--public-key", action="store_true", help="print the public key of the one set, and end"
    )
    parser.add_argument(
        "--accounts-every",
        type=float,
        default=_ACCOUNTS_SECONDS,
        metavar="SECONDS",
        help="how often accounts that are due are looked for (60)",
    )
    return parser
