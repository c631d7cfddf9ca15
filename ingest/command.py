"""What the verbs of the doors have in common: how they are added, and how their words are read."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ingest.complaint import ComplaintError
from schemas.calendar import HOUR_MS, instant
from schemas.settings import Settings

if TYPE_CHECKING:
    from ingest.mqtt_publisher import Options as SenderOptions

USAGE, FATAL = 2, 70
"""Exit codes: the command itself is not right; the process ended itself and is to be started again."""
TICKS = ("PT15M", "PT1H")

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse has no other name for what takes a verb


def say(text: str) -> None:
    """A line for a person, beside the output."""
    print(f"weir: {text}", file=sys.stderr, flush=True)


def verb(
    verbs: Verbs,
    name: str,
    summary: str,
    example: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    """Add a verb that `run` carries out; its parser, for its words."""
    parser = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def positive(text: str) -> int:
    """A number from 1 on. Raises ArgumentTypeError, as all that read a word."""
    number = int(text)
    if number < 1:
        message = f"{text} is less than 1"
        raise argparse.ArgumentTypeError(message)
    return number


def place(text: str) -> str:
    """A host and a port: `mqtt.example.org:8883`."""
    host, _, port = text.rpartition(":")
    if not (host and port.isdecimal()):
        message = f"{text!r} is not like mqtt.example.org:8883"
        raise argparse.ArgumentTypeError(message)
    return text


def instant_of(text: str) -> int:
    """An instant with its offset, in ms."""
    try:
        return instant(datetime.fromisoformat(text))
    except ValueError as error:
        message = f"{text!r}: write it as 2026-01-01T00:00:00+08:00 ({error})"
        raise argparse.ArgumentTypeError(message) from error


def full_hour(text: str) -> int:
    """A full hour, in ms."""
    at = instant_of(text)
    if at % HOUR_MS:
        message = f"{text!r} is not a full hour"
        raise argparse.ArgumentTypeError(message)
    return at


@contextmanager
def lines_of(name: str) -> Iterator[Iterable[str]]:
    """The lines of a file, or of standard input."""
    if name == "-":
        yield sys.stdin
        return
    try:
        file = Path(name).open(encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError as error:
        message = f"{name} cannot be read: {error}"
        raise ComplaintError(message) from error
    with file:
        yield file


def sender_options() -> "SenderOptions":
    """How to reach the MQTT broker as WEIR_MQTT_USER."""
    from ingest.mqtt_publisher import Options
    from ingest.tls import of_settings

    settings = Settings.read()
    host, port = broker_of(settings)
    password = settings.mqtt_password
    return Options(
        host=host,
        port=port,
        user=settings.mqtt_user,
        password=password.get_secret_value() if password else None,
        tls=of_settings(settings),
    )


def broker_of(settings: Settings) -> tuple[str, int]:
    """Host and port of the MQTT broker. ComplaintError where WEIR_MQTT names none."""
    host, _, port = settings.mqtt.rpartition(":")
    if not 0 < int(port) < 1 << 16:
        message = f"WEIR_MQTT={settings.mqtt!r}: {port} is no port"
        raise ComplaintError(message)
    return host, int(port)


def unit_code(text: str) -> str:
    """A unit's code."""
    try:
        return unit_of(text, None)
    except ComplaintError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def unit_of(option: str | None, mapped: str | None) -> str:
    """A unit's code, as told or as mapped. ComplaintError where neither says one."""
    from pydantic import TypeAdapter, ValidationError

    from schemas.registry import UnitCode

    unit = option or mapped
    if unit is None:
        message = "whose file is this? Give --unit, or `unit` in the mapping"
        raise ComplaintError(message)
    try:
        TypeAdapter(UnitCode).validate_python(unit)
    except ValidationError as error:
        message = f"unit {unit!r} is not an 18-character social credit code"
        raise ComplaintError(message) from error
    return unit
