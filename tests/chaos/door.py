"""Enterprises that send by MQTT, each message until its receipt, whatever happens to broker, gateway and Kafka."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from itertools import chain

from troubles import Troubled

from ingest.complaint import ComplaintError
from ingest.mqtt_publisher import Options, Outgoing, Sender

_AGAIN_S = 5.0
_PATIENCE_S = 900.0
_LATE, _REPEATED, _BROKEN, _REFUSED = 0.03, 0.02, 0.01, 0.01
_LATEST = 8
"""Quarter hours."""


class Enterprise(threading.Thread):
    """One unit: what it sent, and how often it had to begin anew."""

    def __init__(
        self, workload: Troubled, number: int, options: Options, quarters: Callable[[], int]
    ) -> None:
        """`quarters`: up to which quarter hour it is now."""
        super().__init__(daemon=True)
        self.unit = workload.mqtt_code(number)
        self.keys: set[str] = set()
        """Of all messages that were sent."""
        self.complaints: Counter[str] = Counter()
        self.error: BaseException | None = None
        self._workload, self._number, self._quarters = workload, number, quarters
        self._rng = random.Random(f"{workload.seed} {number}")
        self._options = replace(
            options, user=self.unit, again_s=_AGAIN_S, patience_s=_PATIENCE_S, in_flight=500
        )
        self._sender: Sender | None = None
        self._over = threading.Event()
        self.again = 0

    def run(self) -> None:
        try:
            self._stream()
        except BaseException as error:  # noqa: BLE001 - told by who waits for the thread
            self.error = error

    def unreceipted(self) -> int:
        """Messages that wait for their receipt now."""
        return len(self._sender.unreceipted()) if self._sender else 0

    def end(self) -> None:
        """Send what is due by now, and no more."""
        self._over.set()

    def finish(self) -> None:
        """Wait until all is receipted."""
        self.join()
        if self.error is not None:
            raise self.error

    def _stream(self) -> None:
        """A complaint ends a connection: what has no receipt is sent again by the next."""
        messages = self._messages()
        todo: dict[str, Outgoing] = {}
        while True:
            sender = self._sender = Sender(self._options)
            handed: set[str] = set()
            try:
                sender.open()
                for message in chain(list(todo.values()), messages):
                    self.keys.add(message.key)
                    todo[message.key] = message
                    self.again += sender.send(message)
                    handed.add(message.key)
                self.again += sender.finish()
            except ComplaintError as error:
                self.complaints[str(error).partition(":")[0]] += 1
                left = {message.key for message in sender.unreceipted()}
                todo = {k: one for k, one in todo.items() if k in left or k not in handed}
                time.sleep(1.0)
            else:
                return
            finally:
                sender.close()

    def _messages(self) -> Iterator[Outgoing]:
        """Of each quarter hour, once it is over, a message a point: some late, twice, broken or refused."""
        held: list[tuple[int, Outgoing]] = []
        quarter = 0
        while True:
            if quarter >= self._quarters():
                if self._over.wait(0.1):
                    break
                continue
            for point in range(self._workload.mqtt_points):
                for message in self._of_point(quarter, point):
                    if self._rng.random() < _LATE:
                        held.append((quarter + self._rng.randint(1, _LATEST), message))
                    else:
                        yield message
            quarter += 1
            yield from (message for due, message in held if due <= quarter)
            held = [(due, message) for due, message in held if due > quarter]
        yield from (message for _, message in held)

    def _of_point(self, quarter: int, point: int) -> Iterator[Outgoing]:
        yield self._message(quarter, point, "", 20 + (quarter + point) % 31)
        chance = self._rng.random()
        if chance < _REPEATED:
            yield self._message(quarter, point, "-again", 20 + (quarter + point) % 31)
        elif chance < _REPEATED + _REFUSED:
            yield self._message(quarter, point, "-refused", "much")
        elif chance < _REPEATED + _REFUSED + _BROKEN:
            payload = self._message(quarter, point, "-broken", 1).payload[:-9]
            yield Outgoing(self.unit, payload, sha256(payload).hexdigest(), 1, ticked=False)

    def _message(self, quarter: int, point: int, what: str, value: float | str) -> Outgoing:
        key = f"{self._number}-{quarter}-{point}{what}"
        told = {
            "message_id": key,
            "point": f"M{point}",
            "at": self._workload.quarter(quarter),
            "statement": "PT15M",
            "value": value,
            "unit": "kWh",
        }
        return Outgoing(self.unit, json.dumps(told).encode(), key, 1, ticked=False)
