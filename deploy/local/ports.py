"""Which loopback port each part listens on."""

import os
import random
import socket
from collections.abc import Mapping

from deploy.local.complaint import ComplaintError

LOOPBACK = "127.0.0.1"

DEFAULTS = {
    "kafka": 9092,
    "kafka_controller": 9094,
    "kafka_tls": 9095,
    "database": 5432,
    "mqtt": 1883,
    "mqtt_tls": 8883,
    "mqtt_certificates": 8884,
    "alertmanager": 9093,
    "webhook": 9099,
}
"""`kafka_tls` and `mqtt_tls` ask for user and password, `mqtt_certificates` for the client's certificate.
`webhook` is not ours to open: Alertmanager posts there, and who wants to hear listens."""

LISTENERS = {
    "kafka": ("kafka_controller", "kafka_tls"),
    "mqtt": ("mqtt_tls", "mqtt_certificates"),
}
"""What else a part listens on."""

_SPARE = range(20_000, 32_000)
"""Below the range from which the kernel takes the ports of outgoing connections."""


_HIGHEST = 65_535


def port_number(text: str) -> int | None:
    """Return the port that a person wrote, None if it is none."""
    return int(text) if text.isdecimal() and 0 < int(text) <= _HIGHEST else None


def is_free(port: int) -> bool:
    """Tell whether nobody listens on this port of the loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def asked_for(options: Mapping[str, int]) -> dict[str, int]:
    """Return the ports that a person set: by option, else by WEIR_<PART>_PORT."""
    asked = {}
    for name in DEFAULTS:
        text = os.environ.get(f"WEIR_{name.upper()}_PORT", "")
        port = port_number(text)
        if port is not None:
            asked[name] = port
        elif text:
            message = f"WEIR_{name.upper()}_PORT={text!r} is no port"
            raise ComplaintError(message, f"set a number from 1 to {_HIGHEST}, or unset it")
    return asked | dict(options)


def choose(name: str, *, asked: int | None, recorded: int | None, others: frozenset[int]) -> int:
    """Return a free port: the one asked for, else the last one, the default, a spare.

    A port that was asked for is never replaced silently.
    """
    if asked is not None:
        if asked in others or not is_free(asked):
            message = f"port {asked} asked for {name} is taken"
            raise ComplaintError(message, f"stop what listens there, or --port {name}=…")
        return asked
    for port in (recorded, DEFAULTS[name]):
        if port is not None and port not in others and is_free(port):
            return port
    return _spare(others)


def _spare(others: frozenset[int]) -> int:
    """Drawn, not counted up: two checkouts that start together must not meet."""
    for port in random.sample(_SPARE, 200):
        if port not in others and is_free(port):
            return port
    message = f"no free port found between {_SPARE.start} and {_SPARE.stop}"
    raise ComplaintError(message, "free some, or set ports with --port PART=NUMBER")
