"""What nobody should send: bytes, types, numbers, times, nestings and identities that break parsers, drawn from a seed.

Every message comes with what the account must say of it.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from ingest.mqtt_publisher import Outgoing
from ingest.payload import decode
from schemas.reading import MAX_PAYLOAD, MAX_READINGS
from schemas.section import Unreadable

QUARTER = 900_000
_A_QUARTER = 24
"""Messages of a unit a quarter hour."""
_LATE = 0.02
_NUMBERS = (
    "1e308", "-1e308", "1e999", "9" * 40, "-0.0000001", "0.1234567", "1e-300", "NaN", "Infinity", "-Infinity",
    "9" * 400, "4611686018427387904", "-1", "true", "null", "[]", "{}", '"NaN"', '"1e999"', '"٣"', '"0x10"', '""', '" 1"',
)  # fmt: skip
_TIMES = (
    "0", "-1", "1", "32472144000000", "7258118399999", "7258118400000", "1e400", "9" * 30, "1.5", "true", "null",
    '"1970-01-01T00:00:00Z"', '"2999-12-31T23:59:59+08:00"', '"2026-02-30T00:00:00Z"', '"2026-01-01T00:00:00"',
    '"0000-01-01T00:00:00Z"', '"2026-01-01T24:00:00+08:00"', '"2026-01-01T00:00:60Z"', '"9999-12-31T23:59:59-23:59"',
    '"now"', '""',
)  # fmt: skip
_TEXTS = (
    '"\\u0000"', '"\\ud800"', '"E1\\u0000"', '"' + "x" * 200 + '"', '"' + "名" * 60 + '"', '"../../etc"', "\"'; DROP TABLE unit; --\"",
    '"\\udcff"', '" "', '""', "7", "null", "[]", "{}", "true", '"kwh"', '"P1Y"', '"register"', '"P1M"', '"%s%n"',
)  # fmt: skip
_FIELDS = ("point", "at", "statement", "value", "unit", "rank", "revision", "sent_at")
_TOP = (*_FIELDS, "message_id", "unit_code", "readings", "ticks", "valeu", "__proto__")


@dataclass(frozen=True)
class Hostile:
    """Draws messages of one unit."""

    unit: str
    start: int
    points: tuple[str, ...]

    def messages(self, count: int, seed: str) -> Iterator[Outgoing]:
        """So many, as they go out; `readings` is what they count for in the account."""
        rng = random.Random(seed)
        kinds: tuple[tuple[Callable[[random.Random, int], bytes], int], ...] = (
            (self._plain, 2_000),
            (self._bytes, 800),
            (self._mutated, 2_000),
            (self._cut, 800),
            (self._odd_fields, 2_500),
            (self._columns, 800),
            (self._identity, 500),
            (self._nested, 200),
            (self._ticks, 200),
            (self._large, 2),
        )
        draw, weights = zip(*kinds, strict=True)
        for number in range(count):
            (kind,) = rng.choices(draw, weights)
            yield self.outgoing(kind(rng, number))

    def outgoing(self, payload: bytes) -> Outgoing:
        """With the key of its receipt, by the door's own code."""
        part = decode(payload, unit=self.unit, received_at=0)
        if isinstance(part, Unreadable):
            return Outgoing(self.unit, payload, part.sha256, 1, ticked=False)
        key = part.messages[0] or sha256(payload).hexdigest()
        return Outgoing(self.unit, payload, key, len(part) + len(part.refused), ticked=False)

    def _reading(self, rng: random.Random, number: int) -> dict[str, str]:
        """Fields as JSON texts: what is odd is often no value of Python's."""
        return {
            "message_id": f'"{self.unit[-3:]}-{number}"',
            "point": f'"{rng.choice(self.points)}"',
            "at": str(self.start + QUARTER * _quarter(rng, number)),
            "statement": '"PT15M"',
            "value": str(rng.randrange(90)),
            "unit": '"kWh"',
        }

    def _plain(self, rng: random.Random, number: int) -> bytes:
        return _object(self._reading(rng, number))

    def _bytes(self, rng: random.Random, number: int) -> bytes:
        del number
        return rng.randbytes(rng.randrange(1, 300))

    def _mutated(self, rng: random.Random, number: int) -> bytes:
        data = bytearray(self._plain(rng, number))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)

    def _cut(self, rng: random.Random, number: int) -> bytes:
        data = self._plain(rng, number)
        return data[: rng.randrange(1, len(data))] + b" " * rng.randrange(3)

    def _odd_fields(self, rng: random.Random, number: int) -> bytes:
        told = self._reading(rng, number)
        for _ in range(rng.randint(1, 3)):
            field = rng.choice(_TOP)
            if rng.random() < 0.1:
                told.pop(field, None)
            elif field in ("at", "sent_at"):
                told[field] = rng.choice(_TIMES)
            elif field in ("value", "revision"):
                told[field] = rng.choice(_NUMBERS)
            elif field == "point" and rng.random() < 0.7:
                told[field] = f'"N{rng.randrange(10**9)}"'
            else:
                told[field] = rng.choice(_TEXTS)
        return _object(told)

    def _columns(self, rng: random.Random, number: int) -> bytes:
        told, size = self._reading(rng, number), rng.randint(0, 12)
        for field in rng.sample(_FIELDS, rng.randint(1, 5)):
            length = size if rng.random() < 0.9 else rng.randint(0, 12)
            usual = told.get(field, "null")
            odd = _TIMES if field.endswith("at") else _NUMBERS if field == "value" else _TEXTS
            items = [rng.choice(odd) if rng.random() < 0.1 else usual for _ in range(length)]
            told[field] = f"[{','.join(items)}]"
        return _object(told)

    def _identity(self, rng: random.Random, number: int) -> bytes:
        told = self._reading(rng, number)
        told["unit_code"] = rng.choice(
            ('"91510100OTHER00001"', '"??????????????????"', '"short"', "7")
        )
        return _object(told)

    def _nested(self, rng: random.Random, number: int) -> bytes:
        depth = rng.choice((10, 200, 1_100, 20_000))
        opened, closed = rng.choice(((b"[", b"]"), (b'{"readings":', b"}"), (b'{"a":[', b"]}")))
        whole = opened * depth + b"0" + closed * (depth if rng.random() < 0.7 else 0)
        if rng.random() < 0.5:
            return whole
        return _object({**self._reading(rng, number), "readings": whole.decode()})

    def _ticks(self, rng: random.Random, number: int) -> bytes:
        told = self._reading(rng, number)
        told["ticks"] = rng.choice(
            ("[[0,1]]", "[[1,99999999999999999999]]", "[[-1,5]]", "[]", "7", "[[0,5],[0,4]]")
        )
        return _object(told)

    def _large(self, rng: random.Random, number: int) -> bytes:
        told = self._reading(rng, number)
        if rng.random() < 0.3:
            return _object({**told, "valeu": json.dumps("x" * (MAX_PAYLOAD + rng.randrange(9)))})
        count = rng.choice((1_000, MAX_READINGS, MAX_READINGS + 1))
        return _object({**told, "value": f"[{','.join([rng.choice(_NUMBERS)] * count)}]"})


def _quarter(rng: random.Random, number: int) -> int:
    """Time goes on, with some readings up to two days late: as many claims of few readings would be another attack."""
    late = rng.randrange(2 * 96) if rng.random() < _LATE else 0
    return max(0, number // _A_QUARTER - late)


def _object(told: dict[str, str]) -> bytes:
    return f"{{{','.join(f'{json.dumps(name)}:{value}' for name, value in told.items())}}}".encode(
        errors="surrogatepass"
    )
