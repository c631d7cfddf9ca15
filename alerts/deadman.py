"""The dead man's switch: hears the alarm that always fires, and raises when it stays away.

It runs on another machine than Prometheus and Alertmanager, and tells by channels that need neither.
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from alerts.case_words import Language
from alerts.receivers import Receiver

logger = logging.getLogger(__name__)

WATCHDOG = "Watchdog"
LOOK_S = 1.0
_LONGEST_BODY = 1_048_576

WORDS: Mapping[Language, tuple[str, str, str]] = {
    "en": (
        "Alarms are dead: the watchdog has been silent for {seconds} s",
        "Alarms are alive again",
        "Prometheus, Alertmanager or the way between them and here is down: nobody would hear of anything. Look at both; RUNBOOK.md, `the watchdog is silent`.",
    ),
    "zh": (
        "告警链路中断：看门狗已沉默{seconds}秒",
        "告警链路已恢复",
        "Prometheus、Alertmanager或其到此处的链路中断，期间任何告警都无人收到。请检查两者；见RUNBOOK.md“the watchdog is silent”。",
    ),
}


class Switch:
    """When the watchdog was last heard, and whether people were told that it is silent."""

    def __init__(
        self,
        *,
        patience_s: float,
        receivers: Mapping[str, Receiver],
        language: Language,
        clock: Callable[[], float],
    ) -> None:
        """`clock` is monotonic. It counts from its start: an alarm that never came is silent, too."""
        self._patience_s = patience_s
        self._receivers = receivers
        self._words = WORDS[language]
        self._clock = clock
        self._lock = threading.Lock()
        self._heard_at = clock()
        self._silences = 0
        self._told: set[str] = set()
        """Receivers that know of the silence that lasts."""

    def hear(self, body: bytes) -> bool:
        """Take what Alertmanager posts (webhook, version 4); say whether the watchdog fires in it."""
        try:
            posted = json.loads(body)
            alerts = posted["alerts"]
            firing = any(
                one["status"] == "firing" and one["labels"]["alertname"] == WATCHDOG
                for one in alerts
            )
        except (ValueError, KeyError, TypeError):
            return False
        if firing:
            with self._lock:
                self._heard_at = self._clock()
        return firing

    @property
    def silent_s(self) -> float:
        """For how long it has not been heard."""
        with self._lock:
            return self._clock() - self._heard_at

    @property
    def is_silent(self) -> bool:
        """Whether that is too long."""
        return self.silent_s > self._patience_s

    def look(self) -> None:
        """Tell who does not know yet; what a channel does not take is tried at the next look."""
        silent = self.is_silent
        title, alive, body = self._words
        if silent:
            self._silences += not self._told
            title = title.format(seconds=round(self.silent_s))
        for name, receiver in self._receivers.items():
            if silent == (name in self._told):
                continue
            key = f"watchdog-{self._silences}-{'silent' if silent else 'alive'}-{name}"
            outcome = receiver.notify(
                title if silent else alive, body if silent else alive, key=key
            )
            if outcome.result != "delivered":
                logger.warning("not told", extra={"receiver": name, "reason": outcome.reason})
            elif silent:
                self._told.add(name)
            else:
                self._told.discard(name)


def serve(switch: Switch, host: str, port: int) -> ThreadingHTTPServer:
    """Hear posts, and answer GET /healthz (503 while the watchdog is silent), from a thread. Port 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = min(int(self.headers.get("Content-Length") or 0), _LONGEST_BODY)
            heard = switch.hear(self.rfile.read(length))
            self._answer(200, {"watchdog": heard})

        def do_GET(self) -> None:
            silent = switch.is_silent
            self._answer(503 if silent else 200, {"silent_seconds": round(switch.silent_s)})

        def _answer(self, status: int, said: Mapping[str, object]) -> None:
            body = json.dumps(said).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            logger.debug(format, *args)

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="deadman", daemon=True).start()
    return server
