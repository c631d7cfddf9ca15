"""CO2 of a window by each published view of electricity, side by side: what the choice of a factor decides.

The stream tells one view (`packs/stream.toml`), named by its factor. Here a window's native amounts are converted once by
each: low down, best half even, high up; a unit's own figure, rounded hour by hour, may differ by some 10⁻⁶ t.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, cast

import orjson

from processors.lines import Amount, Ratio, signed_sum
from schemas.calendar import rfc3339, year_of
from schemas.factors import FactorPack
from schemas.pack import NoEntryError, Packs
from schemas.pack_entries import View
from schemas.quantities import CARRIERS
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


def co2_by_view(
    told: Mapping[str, object], year: int, packs: Packs, fuels: FactorPack
) -> Iterator[Viewed]:
    """CO2 of a window's figures (`indicator.Judged` or `LineJudged`) in each view; `fuels`: by what other carriers are converted."""
    figures = cast("Mapping[str, Mapping[str, int | None]]", told["figures"])
    natives = {name: _amount(figures[name]) for name in CARRIERS if name in figures}
    for region, view in VIEWS:
        try:
            power = packs.power(region, view, year).entry
        except NoEntryError:
            continue
        if power.value is None:
            continue
        numerator, denominator = power.value.as_integer_ratio()
        ratios = {"electricity": Ratio(numerator, denominator * 1_000)}
        used = [fuels.factor(name, "co2", year) for name in natives if name != "electricity"]
        for factor, name in zip(used, (n for n in natives if n != "electricity"), strict=True):
            ratios[name] = Ratio(factor.numerator, factor.denominator)
        amount = signed_sum((1, ratios[name].of(one)) for name, one in natives.items())
        unverified = power.status == "unverified" or any(factor.unverified for factor in used)
        yield Viewed(region, view, power.id, power.year, unverified, amount)


def _amount(figure: Mapping[str, int | None]) -> Amount:
    return Amount(figure["low"], figure["best"] or 0, figure["high"])


def latest_year(windows: Iterable[bytes]) -> Mapping[str, object] | None:
    """The newest year among windows as told."""
    told = [cast("Mapping[str, object]", orjson.loads(one)) for one in windows]
    years = [one for one in told if one["window"] == "year"]
    return max(years, key=lambda one: cast("int", one["start"]), default=None)


def views_shown(
    of: str, windows: Iterable[bytes], packs: Packs, fuels: FactorPack
) -> dict[str, object] | None:
    """CO2 of the newest year of a unit or line in each view, amounts as text; None where nothing was told."""
    told = latest_year(windows)
    if told is None:
        return None
    start = cast("int", told["start"])
    views = [
        {
            "view": one.view,
            "region": one.region,
            "factor": one.factor,
            "factor_year": one.year,
            "unverified": one.unverified,
            "unit_of_measure": "t",
            **{key: as_text(value) for key, value in one.amount._asdict().items()},
        }
        for one in co2_by_view(told, year_of(start), packs, fuels)
    ]
    return {"of": of, "window": "year", "start": rfc3339(start), "views": views}


def render_views(told: Sequence[Mapping[str, object]]) -> str:
    """The same for a person at a terminal."""
    rows: list[str] = []
    for one in told:
        rows += ["", "", f"CO2 of {one['of']} by view, year from {one['start']}, t"]
        rows.append(f"  {'':32} {'low':>18} {'best':>18} {'high':>18}")
        for view in cast("Sequence[Mapping[str, object]]", one["views"]):
            ends = " ".join(f"{view[key] or 'unknown'!s:>18}" for key in ("low", "best", "high"))
            mark = "  unverified factor" if view["unverified"] else ""
            rows.append(f"  {view['view']}, {view['region']:9} {ends}  {view['factor']}{mark}")
    return "\n".join(rows)
