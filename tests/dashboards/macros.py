"""What Grafana makes of a query before PostgreSQL sees it: variables first, then the data source's macros.

As Grafana 11 and 12 do it: the browser puts in variables and the interval, the PostgreSQL data source
the macros. Where Grafana would leave something as it is, or send it and let it fail, this raises.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

Value = str | Sequence[str]
"""One chosen value, or several: a variable that is `multi` or has `All` always has several."""

_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)(?!\w|\()")
_MACRO = re.compile(r"\$(\w+)\(([^)]*)\)")
"""As in Grafana: the arguments end at the first closing parenthesis, so they hold no call."""
_INTERVALS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))
_LENGTHS = dict(_INTERVALS)


class ExpansionError(ValueError):
    """A query that Grafana could not expand, or that this does not know how to."""


def expand(
    query: str,
    start: datetime,
    end: datetime,
    variables: Mapping[str, Value],
    *,
    interval_ms: int = 60_000,
) -> str:
    """The SQL that the database gets for the time range [start, end]."""
    known: dict[str, Value] = {
        **variables,
        "__interval": interval_text(interval_ms),
        "__interval_ms": str(interval_ms),
        "__from": str(_epoch_ms(start)),
        "__to": str(_epoch_ms(end)),
    }

    def variable(found: re.Match[str]) -> str:
        name = found[1] or found[3]
        if name not in known:
            message = f"the dashboard has no variable {name}: {found[0]}"
            raise ExpansionError(message)
        return _formatted(known[name], found[2])

    def macro(found: re.Match[str]) -> str:
        arguments = [argument.strip() for argument in found[2].split(",")]
        if found[1] not in _MACROS:
            message = f"the PostgreSQL data source has no macro {found[0]}"
            raise ExpansionError(message)
        try:
            return _MACROS[found[1]](start, end, *filter(None, arguments))
        except TypeError as error:
            message = f"{found[0]}: {error}"
            raise ExpansionError(message) from error

    expanded = _MACRO.sub(macro, _VARIABLE.sub(variable, query))
    if "$" in expanded:
        message = f"a dollar sign is left: {expanded[expanded.index('$') :][:30]}"
        raise ExpansionError(message)
    return expanded


def _formatted(value: Value, form: str | None) -> str:
    """A variable's value in the form that the query asks for."""
    several = [value] if isinstance(value, str) else list(value)
    match form:
        case "sqlstring" | "singlequote" if not any(set(one) & {'"', "\\"} for one in several):
            return ",".join(_literal(one) for one in several)
        case "csv":
            return ",".join(several)
        case "raw":
            return value if isinstance(value, str) else ",".join(several)
        case None if isinstance(value, str):
            return value.replace("'", "''")
        case None:
            return ",".join(_literal(one) for one in several)
        case _:
            message = f"not expanded here: {several} as {form}"
            raise ExpansionError(message)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def interval_text(milliseconds: int) -> str:
    """An interval as Grafana writes it: `15m`, `1h`, `500ms`."""
    for letter, length in _INTERVALS:
        if milliseconds >= length:
            return f"{milliseconds // length}{letter}"
    return f"{milliseconds}ms"


def _seconds(interval: str) -> float:
    found = re.fullmatch(r"(\d+)(ms|[dhms])", interval.strip("'"))
    if found is None:
        message = f"{interval} is not an interval such as '15m'"
        raise ExpansionError(message)
    return int(found[1]) * _LENGTHS.get(found[2], 1) / 1_000


def _epoch_ms(at: datetime) -> int:
    return round(at.timestamp() * 1_000)


def _rfc3339(at: datetime) -> str:
    """UTC, without the zeros at the end of a fraction, as Go writes it; quoted."""
    if at.tzinfo is None:
        message = f"{at} has no time zone"
        raise ExpansionError(message)
    told = at.astimezone(UTC)
    fraction = f".{told.microsecond:06d}".rstrip("0") if told.microsecond else ""
    return f"'{told:%Y-%m-%dT%H:%M:%S}{fraction}Z'"


def _time(_start: datetime, _end: datetime, column: str) -> str:
    return f'{column} AS "time"'


def _time_filter(start: datetime, end: datetime, column: str) -> str:
    return f"{column} BETWEEN {_rfc3339(start)} AND {_rfc3339(end)}"


def _time_from(start: datetime, _end: datetime) -> str:
    return _rfc3339(start)


def _time_to(_start: datetime, end: datetime) -> str:
    return _rfc3339(end)


def _time_group(_start: datetime, _end: datetime, column: str, interval: str) -> str:
    """The data source knows that it speaks to TimescaleDB: see provisioning/datasources."""
    return f"time_bucket('{_seconds(interval):.3f}s',{column})"


def _time_group_alias(start: datetime, end: datetime, column: str, interval: str) -> str:
    return f'{_time_group(start, end, column, interval)} AS "time"'


def _unix_epoch_from(start: datetime, _end: datetime) -> str:
    return str(int(start.timestamp()))


def _unix_epoch_to(_start: datetime, end: datetime) -> str:
    return str(int(end.timestamp()))


def _unix_epoch_filter(start: datetime, end: datetime, column: str) -> str:
    first, last = int(start.timestamp()), int(end.timestamp())
    return f"{column} >= {first} AND {column} <= {last}"


_MACROS: dict[str, Callable[..., str]] = {
    "__time": _time,
    "__timeFilter": _time_filter,
    "__timeFrom": _time_from,
    "__timeTo": _time_to,
    "__timeGroup": _time_group,
    "__timeGroupAlias": _time_group_alias,
    "__unixEpochFilter": _unix_epoch_filter,
    "__unixEpochFrom": _unix_epoch_from,
    "__unixEpochTo": _unix_epoch_to,
}
