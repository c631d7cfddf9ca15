"""CO2 of a window by each published view of electricity, side by side: what the choice of a factor decides.

The stream tells one view (`packs/stream.toml`), named by its factor. Here the electricity of a window (bought less sold) is
converted by another one in its place, once: low down, best half even, high up. What was told stays in its own view as told.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple, cast

import orjson

from processors.lines import Amount
from schemas.calendar import rfc3339, year_of
from schemas.pack import Held, NoEntryError, Packs
from schemas.pack_entries import Definition, Power, View
from schemas.scale import as_text

VIEWS: tuple[tuple[str, View], ...] = (
    ("sichuan", "provincial average"),
    ("southwest", "regional average"),
    ("china", "national average"),
    ("china", "national residual"),
)
"""Of a unit in Sichuan; the first is the default."""


class Viewed(NamedTuple):
    """CO2 in one view, 10⁻⁶ t."""

    region: str
    view: str
    factor: str
    year: int
    """That the factor was published for: the window's, or the latest earlier one."""
    unverified: bool
    amount: Amount


class PowerRow(NamedTuple):
    """A factor of electricity as the table `power_factor` has it."""

    id: str
    number: int
    place: int | None
    region: str
    view: str
    year: int
    value: Decimal | None
    unverified: bool


def power_rows(packs: Packs) -> list[PowerRow]:
    """All of some packs, ours first."""
    places = {view: place for place, view in enumerate(VIEWS, start=1)}
    held = (one.entry for one in packs.of(Power))
    return [
        PowerRow(
            one.id,
            number,
            places.get((one.region, one.view)),
            one.region,
            one.view,
            one.year,
            one.value,
            one.status == "unverified",
        )
        for number, one in enumerate(held)
    ]


def co2_by_view(told: Mapping[str, object], year: int, packs: Packs) -> Iterator[Viewed]:
    """CO2 of a window's figures (`indicator.Judged` or `LineJudged`) in each view: as told, with another factor for electricity."""
    figures = cast("Mapping[str, Mapping[str, object]]", told["figures"])
    if "co2" not in figures:
        return
    power = _amount(figures.get("purchased", figures.get("electricity", _NOTHING)))
    ids = cast("Sequence[str]", figures["co2"]["factors"])
    by = {name: held.entry for name in ids if (held := _held(packs, name)) is not None}
    of_power = next((one for one in by.values() if isinstance(one, Power)), None)
    if power != Amount(0, 0, 0) and of_power is None:
        return
    others = [by.get(name) for name in ids if name != getattr(of_power, "id", None)]
    is_doubtful = bool(figures["co2"]["unverified"])
    for region, view in VIEWS:
        try:
            chosen = packs.power(region, view, year).entry
        except NoEntryError:
            continue
        if chosen.value is None:
            continue
        unverified = chosen.status == "unverified" or any(
            is_doubtful if one is None else getattr(one, "status", "") == "unverified"
            for one in others
        )
        used = (
            Fraction(0) if of_power is None or of_power.value is None else Fraction(of_power.value)
        )
        amount = _moved(_amount(figures["co2"]), power, (Fraction(chosen.value) - used) / 1_000)
        yield Viewed(region, view, chosen.id, chosen.year, unverified, amount)


def _moved(co2: Amount, power: Amount, by: Fraction) -> Amount:
    """CO2 with `by` more for each kWh, end by end."""
    low = None if co2.low is None or power.low is None else co2.low + floor(power.low * by)
    high = None if co2.high is None or power.high is None else co2.high + ceil(power.high * by)
    return Amount(low, co2.best + round(power.best * by), high)


def _held(packs: Packs, name: str) -> Held[Definition] | None:
    try:
        return packs.by_id(name)
    except NoEntryError:
        return None


_NOTHING: Mapping[str, object] = {"low": 0, "best": 0, "high": 0}


def _amount(figure: Mapping[str, object]) -> Amount:
    low, best, high = (cast("int | None", figure[key]) for key in ("low", "best", "high"))
    return Amount(low, best or 0, high)


def latest_year(windows: Iterable[bytes]) -> Mapping[str, object] | None:
    """The newest year among windows as told."""
    told = [cast("Mapping[str, object]", orjson.loads(one)) for one in windows]
    years = [one for one in told if one["window"] == "year"]
    return max(years, key=lambda one: cast("int", one["start"]), default=None)


def views_shown(of: str, windows: Iterable[bytes], packs: Packs) -> dict[str, object] | None:
    """CO2 of the newest year of a unit or line in each view, amounts as text; None where nothing was told."""
    told = latest_year(windows)
    if told is None:
        return None
    start = cast("int", told["start"])
    figure = cast("Mapping[str, Mapping[str, object]]", told["figures"]).get("co2", {})
    used = cast("Sequence[str]", figure.get("factors", ()))
    views = [
        {
            "view": one.view,
            "region": one.region,
            "factor": one.factor,
            "factor_year": one.year,
            "is_told": one.factor in used,
            "unverified": one.unverified,
            "unit_of_measure": "t",
            **{key: as_text(value) for key, value in one.amount._asdict().items()},
        }
        for one in co2_by_view(told, year_of(start), packs)
    ]
    return {"of": of, "window": "year", "start": rfc3339(start), "views": views}


def render_views(told: Sequence[Mapping[str, object]]) -> str:
    """The same for a person at a terminal."""
    rows: list[str] = []
    for one in told:
        if not one["views"]:
            continue
        rows += ["", "", f"CO2 of {one['of']} by view, year from {one['start']}, t CO2"]
        rows.append(f"  {'':32} {'low':>18} {'best':>18} {'high':>18}")
        for view in cast("Sequence[Mapping[str, object]]", one["views"]):
            ends = " ".join(f"{view[key] or 'unknown'!s:>18}" for key in ("low", "best", "high"))
            mark = "  told by this one" if view["is_told"] else ""
            mark += "  unverified factor" if view["unverified"] else ""
            name = f"{view['view']}, {view['region']}"
            rows.append(f"  {name:32} {ends}  {view['factor']}{mark}")
    return "\n".join(rows)
