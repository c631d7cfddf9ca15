"""A file of logins is checked, and changes what it says and nothing else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from processors.memberships import (
    Grant,
    Held,
    MembershipError,
    Memberships,
    changes,
    read_memberships,
    refusal,
)
from schemas.calendar import BUSINESS

AT = datetime(2026, 6, 1, tzinfo=UTC)
FIRST = datetime(2026, 1, 1, tzinfo=BUSINESS)
CITY = Grant("a", "city:510100", FIRST)
NOTHING = Held({}, {})


def memberships(*logins: dict[str, object]) -> Memberships:
    """A file's content."""
    return Memberships.model_validate({"login": logins})


def regulator(scope: str = "city:510100", **more: str) -> dict[str, object]:
    """Of login `a`, from the first day of 2026 on."""
    sees = [{"scope": scope, "from": "2026-01-01", **more}]
    return {"name": "a", "role": "weir_regulator", "sees": sees}


def said(held: Held, wanted: Memberships) -> list[str]:
    """What would be done, in words."""
    return [change.said for change in changes(held, wanted, AT)]


def test_a_new_login() -> None:
    """Its role, how to set its password, and what it sees."""
    assert said(NOTHING, memberships(regulator(until="2027-01-01"))) == [
        "+ a: weir_regulator (its password: `python -m processors migrate login a --role weir_regulator`)",
        "+ a sees city:510100 from 2026-01-01 until 2027-01-01 00:00",
    ]


@pytest.mark.parametrize(
    ("until", "told"),
    [
        (None, ["- a sees city:510100 from 2026-01-01 until 2026-06-01 08:00"]),
        (AT + timedelta(1), ["- a sees city:510100 from 2026-01-01 until 2026-06-01 08:00"]),
        (AT - timedelta(1), []),
    ],
)
def test_what_the_file_leaves_out_ends_now(until: datetime | None, told: list[str]) -> None:
    """What ended before stays as it was: rows are history."""
    held = Held({"a": "weir_regulator"}, {CITY: until})
    assert said(held, memberships()) == ["- a: weir_regulator no more", *told]


def test_what_has_not_begun_never_does() -> None:
    """Left out of the file, it ends where it begins."""
    later = Grant("a", "city:510100", AT + timedelta(5))
    (change,) = changes(Held({}, {later: None}), memberships(), AT)
    assert change.said == "- a sees city:510100 from 2026-06-06 until 2026-06-06 08:00"


def test_other_ends_and_roles() -> None:
    """A change of either is told; what is the same is not."""
    held = Held({"a": "weir_enterprise"}, {CITY: AT})
    assert said(held, memberships(regulator())) == [
        "~ a: weir_enterprise -> weir_regulator",
        "~ a sees city:510100 from 2026-01-01",
    ]
    assert said(Held({"a": "weir_regulator"}, {CITY: None}), memberships(regulator())) == []


@pytest.mark.parametrize(
    ("login", "wrong"),
    [
        (regulator("unit:91510100SYN0000001"), "weir_regulator sees regions and industries"),
        (regulator("city:510000x"), "not city:510000x"),
        (regulator("city:510101"), "not city:510101"),
        (regulator("city:510100+unit:91510100SYN0000001"), "weir_regulator sees"),
        (regulator() | {"role": "weir_enterprise"}, "weir_enterprise sees units"),
        (regulator() | {"role": "weir_reader"}, "Input should be"),
        (regulator() | {"name": "weir_worker"}, "are taken"),
        (regulator() | {"name": "A B"}, "String should match"),
        (regulator() | {"sees": []}, "at least 1"),
        (regulator(until="2026-01-01"), "is not after"),
        (regulator() | {"sees": regulator()["sees"] * 2}, "named twice from 2026-01-01"),  # type: ignore[operator]
    ],
)
def test_what_cannot_be_taken(login: dict[str, object], wrong: str) -> None:
    """With the reason."""
    with pytest.raises(ValueError, match=wrong):
        memberships(login)


def test_a_login_stands_once() -> None:
    """Two entries of a name would hide one another."""
    with pytest.raises(ValueError, match="named twice: a"):
        memberships(regulator(), regulator("industry:31"))


def test_a_file(tmp_path: Path) -> None:
    """The example is in order; a mistake is told with its place."""
    assert len(read_memberships(Path("deploy/example/logins.toml")).login) == 3
    wrong = tmp_path / "logins.toml"
    wrong.write_text(
        '[[login]]\nname = "a"\nrole = "weir_regulator"\nsees = [{ scope = "x:1", from = 2026-01-01 }]'
    )
    with pytest.raises(MembershipError, match=r"logins.toml: login.0: weir_regulator sees"):
        read_memberships(wrong)
    with pytest.raises(MembershipError, match="cannot be read"):
        read_memberships(tmp_path / "none.toml")


def test_a_unit_of_others_is_as_one_that_is_not_there() -> None:
    """Nobody learns from a refusal who is registered."""
    assert refusal("a", "unit:U", ["city:510100", "industry:31"]) == (
        "there is no registered unit U that a may see; it may see city:510100, industry:31"
    )
    assert refusal("a", "city:510300", []) == "a may not see city:510300; nothing is open to it now"
