"""The same aluminium in four views: domain figures of 13,300 kWh a tonne."""

import json

import pytest

from processors.co2_views import co2_by_view, render_views, views_shown
from schemas.calendar import year_start
from schemas.pack_reading import our_packs

PACKS = our_packs()
T = 1_000_000


def year(electricity: int, coal: int | None = None, high: int | None = 0) -> dict[str, object]:
    """A year's window with as many kWh and tonnes, told in the provincial view."""
    amounts = {"electricity": electricity * T} | ({} if coal is None else {"raw_coal": coal * T})
    amounts["co2"] = electricity * 156_400 // 1_000 + (coal or 0) * 1_747_000
    figures: dict[str, dict[str, object]] = {
        name: {"low": amount, "best": amount, "high": None if high is None else amount}
        for name, amount in amounts.items()
    }
    figures["co2"] |= {"factors": ["electricity.co2.sichuan.2023"], "unverified": False}
    return {"window": "year", "start": year_start(2023), "figures": figures}


def test_aluminium() -> None:
    """13,300 kWh/t are 2.08 tCO2/t in Sichuan, 3.29 in the Southwest, 7.06 nationally and 8.11 residual."""
    found = list(co2_by_view(year(13_300), 2023, PACKS))
    assert [round(one.amount.best / T, 2) for one in found] == [2.08, 3.29, 7.06, 8.11]
    assert [one.view for one in found][:2] == ["provincial average", "regional average"]
    assert {one.year for one in found} == {2023}


def test_fuel_is_the_same_in_every_view() -> None:
    """Only electricity differs."""
    without, with_coal = (
        [one.amount.best for one in co2_by_view(year(13_300, coal), 2023, PACKS)]
        for coal in (None, 100)
    )
    assert len({b - a for a, b in zip(without, with_coal, strict=True)}) == 1


@pytest.mark.parametrize(("high", "said"), [(0, "7.05698"), (None, "unknown")])
def test_what_people_see(high: int | None, said: str) -> None:
    """With the factor beside each figure; of an open year no upper end."""
    told = views_shown("unit X", [json.dumps(year(13_300, high=high)).encode()], PACKS)
    assert told is not None
    text = render_views([told])
    assert said in text
    assert "electricity.co2.sichuan.2023" in text
    assert views_shown("unit X", [], PACKS) is None
