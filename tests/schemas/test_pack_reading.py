"""Packs are refused with file, entry and way out; an operator's own goes before ours without touching it."""

from datetime import date

import pytest

from schemas.pack import NoEntryError, Packs
from schemas.pack_entries import Coefficient, Constant, Oxidation, Power, Standard
from schemas.pack_limits import Limit
from schemas.pack_reading import PackError, PackText, our_packs, our_text, read_packs

POWER = {
    "id": "p",
    "region": "sichuan",
    "view": "provincial average",
    "year": 2024,
    "value": "0.1600",
    "unit": "kgCO2/kWh",
    "source": "s",
    "status": "sourced",
}
COAL = {
    "id": "c",
    "carrier": "raw_coal",
    "basis": "equivalent",
    "set": "own",
    "value": "0.7",
    "unit": "kgce/kg",
    "valid_from": date(2026, 1, 1),
    "source": "s",
    "status": "sourced",
}
LIMIT = {
    "id": "l",
    "indicator": "own",
    "product": "own",
    "unit": "kWh/t",
    "levels": ["1", "2", "3"],
    "valid_from": date(2026, 1, 1),
    "source": "s",
    "status": "sourced",
}
NO_SOURCE = {name: value for name, value in POWER.items() if name != "source"}
NO_DAY = {name: value for name, value in COAL.items() if name != "valid_from"}
RANGE = {name: value for name, value in COAL.items() if name != "value"}
PARAMETER = {"id": "share", "meaning": "share", "unit": "%", "usual": "0"}


def toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case str():
            return f'"{value}"'
        case _:
            return str(value)


def table(kind: str, *entries: dict[str, object]) -> str:
    return f"{kind} = {toml(list(entries))}\n"


def own(*texts: str, name: str = "own") -> PackText:
    return PackText(name, (("own.toml", "".join(texts)),))


def corrected(kind: str, **more: object) -> str:
    return table("limit", LIMIT | {"corrections": [{"kind": kind} | more]})


def refused(*texts: str) -> str:
    with pytest.raises(PackError) as told:
        read_packs([our_text(), own(*texts)])
    return str(told.value)


def with_own(*texts: str) -> Packs:
    return read_packs([our_text(), own(*texts)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("power = [", "own.toml: not TOML", id="not TOML"),
        pytest.param("", "holds no entries", id="nothing in it"),
        pytest.param("powers = []", "powers: is not known here", id="unknown kind"),
        pytest.param("[power]\nid = 'p'", r"write [[power]]", id="one table"),
        pytest.param("power = [1]", r"write [[power]]", id="no tables"),
        pytest.param(table("power", POWER | {"valeu": "1"}), "valeu: Extra inputs", id="misspelt"),
        pytest.param(table("power", POWER | {"unit": "kg/kWh"}), "'kg/kWh' is not known", id="unit"),
        pytest.param(table("power", POWER | {"value": "-0.1"}), "-0.1 kgCO2/kWh is negative", id="negative"),
        pytest.param(table("power", POWER | {"value": "1e3"}), "is no decimal text", id="no decimal"),
        pytest.param(table("power", POWER | {"value": "NaN"}), "is no decimal text", id="NaN"),
        pytest.param(table("power", POWER | {"low": "1"}), "either `value`, or `low` and `high`", id="two figures"),
        pytest.param(table("power", POWER | {"source": " "}), "source: String should have at least 1", id="blank source"),
        pytest.param(table("power", NO_SOURCE), "own.toml: power[0] (p): source: Field required", id="no source"),
        pytest.param(table("power", POWER | {"status": "sure"}), "status: Input should be 'sourced' or 'unverified'", id="status"),
        pytest.param(table("power", POWER | {"confidence": "high"}), "confidence grades what is unverified", id="graded, and sourced"),
        pytest.param(table("power", POWER, POWER), "power[0] (p): give one of them another id", id="id twice"),
        pytest.param(
            table("power", POWER, POWER | {"id": "q"}),
            "power[1] (q): holds from 2024-01-01 on, and own.toml power[0] (p) holds until 2025-01-01",
            id="overlap",
        ),
        pytest.param(
            table("coefficient", COAL, COAL | {"id": "d", "valid_from": date(2027, 1, 1)}),
            "until further notice for the same raw_coal, equivalent, own: end",
            id="overlap without end",
        ),
        pytest.param(table("coefficient", COAL | {"valid_to": date(2026, 1, 1)}), "valid_to 2026-01-01 is not after valid_from", id="days reversed"),
        pytest.param(table("coefficient", NO_DAY), "valid_from is missing: give the day", id="no day"),
        pytest.param(table("coefficient", COAL | {"standard": "GB 0"}), "there is no [[standard]] 'GB 0'", id="no such standard"),
        pytest.param(table("coefficient", RANGE | {"low": "2", "high": "1"}), "low 2 is above high 1", id="range reversed"),
        pytest.param(table("coefficient", COAL | {"id": "electricity.energy.equivalent"}), "takes the place of coal-annex-a.toml", id="another thing under our id"),
        pytest.param(table("limit", LIMIT | {"levels": ["3", "2", "1"]}), "do not rise from level 1 to 3", id="levels fall"),
        pytest.param(table("limit", LIMIT | {"levels": ["1", "2"]}), "levels: Tuple should have at least 3", id="two levels"),
        pytest.param(table("limit", LIMIT | {"levels": ["-1", "2", "3"]}), "says net_recovery = true", id="negative limit"),
        pytest.param(table("limit", LIMIT | {"unit": "kgce/t"}), "electricity is missing", id="heat without a basis"),
        pytest.param(table("limit", LIMIT | {"unit": "kgce/t", "electricity": "volt"}), "there is no [[coefficient]] 'volt'", id="no such basis"),
        pytest.param(corrected("per point", parameter="shares", per_point=["1"]), "there is no [[parameter]] 'shares'", id="no such parameter"),
        pytest.param(corrected("guess"), "corrections.0: Input tag 'guess'", id="no such kind of correction"),
        pytest.param(corrected("per point", parameter="stainless", per_point=["1"]), "reckons with stainless, which is one of no, yes", id="reckons with options"),
        pytest.param(
            table("limit", LIMIT | {"applies": [{"parameter": "stainless", "one_of": ["maybe"]}]}),
            "asks stainless for maybe; it is one of no, yes",
            id="no such option",
        ),
        pytest.param(table("limit", LIMIT | {"applies": [{"parameter": "stainless"}]}), "say either bounds", id="asks nothing"),
        pytest.param(table("limit", LIMIT, LIMIT | {"id": "m", "case": "other"}), "say in `applies` which of them holds for whom", id="two rows for all"),
        pytest.param(corrected("per point", parameter="clinker_ratio", per_point=["1"], most="5"), "`most` counts points from 0 on", id="most of both sides"),
        pytest.param(corrected("add table", parameter="clinker_ratio", knots=[["2", "1"], ["1", "2"]]), "must rise", id="knots fall"),
        pytest.param(table("parameter", PARAMETER | {"least": "0"}), "both `least` and `greatest`", id="one bound"),
        pytest.param(table("parameter", PARAMETER | {"least": "1", "greatest": "2"}), "usual 0 must lie in [1, 2] %", id="usual outside"),
        pytest.param(table("parameter", PARAMETER | {"options": ["a", "b"]}), "usual '0' is none of a, b", id="usual no option"),
        pytest.param("defaults.powers = {}\n" + table("power", POWER), "powers: is not known here", id="defaults of nothing"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, said: str) -> None:
    """File, entry, and what to do."""
    assert said in refused(text)


def test_everything_wrong_is_said_at_once() -> None:
    """One line a mistake."""
    said = refused(table("power", POWER | {"value": "-1"}, POWER | {"id": "q", "unit": "x"}))
    assert len(said.splitlines()) == 2


def test_a_missing_reference_of_an_example_or_a_stream_is_refused() -> None:
    """An id that no pack has."""
    example = {
        "id": "e",
        "title": "t",
        "amount": "1",
        "amount_unit": "t",
        "gives": "1",
        "unit": "t",
    }
    assert "there is no entry 'x'" in refused(table("example", example | {"times": ["x"]}))
    stream = {"id": "s", "quantity": "electricity", "target": "co2", "year": 2024, "view": "v"}
    assert "there is no entry 'x'" in refused(table("stream", stream | {"entry": "x"}))


def test_an_id_of_ours_takes_its_place() -> None:
    """The result says which pack a value is from; ours is as it was."""
    name = "electricity.co2.sichuan.2023"
    packs = with_own(table("power", POWER | {"id": name, "year": 2023}))
    held = packs.at(Power, ("sichuan", "provincial average"), date(2023, 5, 1))
    assert (held.entry.figure(), held.pack.name) == ("0.1600 kgCO2/kWh", "own")
    assert [pack.name for pack in packs.packs] == ["weir", "own"]
    assert packs.packs[0] == our_packs().packs[0]


def test_another_id_goes_first_on_its_days() -> None:
    """Beside its days ours holds."""
    dated = {"valid_from": date(2026, 1, 1), "valid_to": date(2027, 1, 1)}
    packs = with_own(table("coefficient", COAL | {"set": "GB/T 2589-2020"} | dated))
    key = ("raw_coal", "equivalent", "GB/T 2589-2020")
    found = [packs.at(Coefficient, key, date(year, 6, 1)).pack.name for year in (2025, 2026, 2027)]
    assert found == ["weir", "own", "weir"]


def test_of_two_own_packs_the_later_goes_first() -> None:
    """As they are named."""
    texts = [
        own(table("power", POWER | {"id": value, "value": value}), name=value)
        for value in ("0.1", "0.2")
    ]
    packs = read_packs([our_text(), *texts])
    assert packs.power("sichuan", "provincial average", 2024).pack.name == "0.2"


def test_one_day_of_a_standard_moves_all_its_entries() -> None:
    """Whoever confirms it writes it once."""
    standard = {"id": "GB 21256-2025", "title": "Steel", "source": "s", "status": "sourced"}
    packs = with_own(table("standard", standard | {"valid_from": date(2026, 6, 1)}))
    limits = [held.entry for held in packs.of(Limit) if held.entry.standard == standard["id"]]
    assert {(limit.valid_from, limit.dates) for limit in limits} == {
        (date(2026, 6, 1), "confirmed")
    }


def test_the_version_is_of_the_content() -> None:
    """Layout and comments do not change it; a figure does."""
    told = read_packs([own(table("power", POWER))]).version
    spread = "# a comment\n[[power]]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in POWER.items())
    assert read_packs([own(spread)]).version == told
    assert read_packs([own(table("power", POWER | {"value": "0.16"}))]).version != told


def test_numbers_keep_their_text() -> None:
    """Zeros stay; a number written bare is read exactly."""
    packs = read_packs([own(table("power", POWER).replace('"0.1600"', "0.1600"))])
    (held,) = packs.of(Power)
    assert str(held.entry.value) == "0.1600"


@pytest.mark.parametrize(
    ("year", "known_on", "expected"),
    [
        pytest.param(2023, None, 2023, id="the year's"),
        pytest.param(2026, None, 2023, id="the latest earlier one"),
        pytest.param(2023, date(2025, 12, 30), 2022, id="the day before it came out"),
        pytest.param(2023, date(2025, 12, 31), 2023, id="the day it came out"),
        pytest.param(2023, date(2024, 1, 1), 2018, id="before three came out"),
    ],
)
def test_a_year_without_a_factor_takes_an_earlier_one(
    year: int, known_on: date | None, expected: int
) -> None:
    """And the factor says which year it is of."""
    held = our_packs().power("sichuan", "provincial average", year, known_on=known_on)
    assert held.entry.year == expected


def test_what_no_pack_has() -> None:
    """Said, never guessed."""
    with pytest.raises(
        NoEntryError, match="provincial average electricity factor of sichuan for 2017"
    ):
        our_packs().power("sichuan", "provincial average", 2017)
    with pytest.raises(NoEntryError, match="coefficient of gold on 2026-01-01"):
        our_packs().at(Coefficient, ("gold",), date(2026, 1, 1))
    with pytest.raises(NoEntryError, match="'gold'"):
        our_packs().by_id("gold")


def test_every_unverified_or_undated_figure_of_ours_says_so() -> None:
    """A figure without its day is marked; every entry has a source."""
    entries = [held.entry for held in our_packs().held]
    undated = [e.id for e in entries if getattr(e, "valid_from", True) is None]
    assert all(
        getattr(our_packs().by_id(name).entry, "dates", "") == "unconfirmed" for name in undated
    )
    kinds = {type(entry) for entry in entries}
    assert {Standard, Constant, Oxidation, Power, Limit} <= kinds
