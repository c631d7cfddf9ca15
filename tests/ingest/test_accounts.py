"""Who has an account and what the brokers are told of it."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.access import due, remaining
from ingest.access_plan import Brokers, mosquitto_passwords, plan
from ingest.access_rights import SERVICES, Right, is_ours, mosquitto_acl, rights
from ingest.accounts import Account, Accounts, is_there, missing, owners_of, rotated
from ingest.complaint import ComplaintError
from schemas.calendar import DAY_MS, instant
from schemas.registry import Industry, Point, Region, Registry, Unit

A, B = "91510100SAFE000001", "91510100SAFE000002"
NOW = 1_800_000_000_000
NOTHING = Brokers(frozenset(), frozenset(), frozenset(), "", "")
STARTED = datetime.fromisoformat("2018-01-01T00:00:00+08:00")
ENDED = datetime.fromisoformat("2026-01-01T00:00:00+08:00")


def unit(code: str, *, ended: bool = False) -> Unit:
    point = Point(
        name="E1",
        quantity="electricity",
        unit_of_measure="kWh",
        statement="PT15M",
        rated_per_hour=Decimal(1),
        valid_from=STARTED,
        valid_to=ENDED if ended else None,
    )
    return Unit(code=code, name="-", region="510100", industry="31", points=(point,))


def registry(*units: Unit) -> Registry:
    return Registry(
        regions=(Region(code="510100", name="-"),),
        industries=(Industry(code="31", name="-"),),
        units=units,
    )


def account(name: str, owner: str = "", until: int | None = None) -> Account:
    return Account(
        name=name, owner=owner or name, since=1, until=until, mosquitto="h", in_kafka=True
    )


def given_out(*owners: str) -> Accounts:
    return Accounts(accounts=tuple(sorted((account(o) for o in owners), key=lambda a: a.name)))


def told(wanted: Accounts) -> Brokers:
    """Brokers that do as they were told."""
    todo = plan(wanted, NOTHING)
    return Brokers(
        frozenset(wanted.users()),
        frozenset(todo.rights),
        frozenset(todo.topics),
        todo.passwords,
        todo.acl,
    )


def test_a_unit_is_there_until_its_horizon_after_its_last_point() -> None:
    """What is late may still come; without an end it stays."""
    last = instant(ENDED) + 40 * DAY_MS
    assert is_there(unit(A, ended=True), now=last - 1)
    assert not is_there(unit(A, ended=True), now=last)
    assert is_there(unit(A), now=last * 2)


def test_the_last_word_on_a_unit_counts() -> None:
    """Configurations bring what is new; a unit told again is as told last."""
    found = owners_of([registry(unit(A), unit(B)), registry(unit(A, ended=True))], now=NOW)
    assert found == {B, *SERVICES}
    assert missing(given_out(B), found) == sorted(SERVICES)


@given(st.sets(st.sampled_from([A, B, *SERVICES])), st.sets(st.sampled_from([A, B, *SERVICES])))
def test_what_is_done_need_not_be_done_again(before: set[str], after: set[str]) -> None:
    """Whatever was there, the plan leads to what is wanted, and then nowhere."""
    there = told(given_out(*before))
    todo = plan(given_out(*after), there)
    done = Brokers(
        (there.users | set(todo.users)) - set(todo.users_gone),
        (there.rights | set(todo.rights)) - set(todo.rights_gone),
        there.topics | set(todo.topics),
        todo.passwords,
        todo.acl,
    )
    assert plan(given_out(*after), done).changes == ()
    assert done.users == set(after)


def test_a_password_that_kafka_was_not_given_is_given() -> None:
    """Whoever ended between the file and Kafka left such an account."""
    wanted = given_out(A)
    (one,) = wanted.accounts
    half = wanted.changed(one.model_copy(update={"in_kafka": False}))
    assert plan(half, told(wanted)).users == (A,)


def test_other_users_are_left_alone() -> None:
    """Neither a user nor a right that is not made from the registry is touched."""
    foreign = Right("mirror-maker", "READ", "TOPIC", "x")
    there = told(given_out(A))
    there = replace(there, users=there.users | {"mirror-maker"}, rights=there.rights | {foreign})
    assert plan(given_out(A), there).changes == ()
    assert not is_ours("mirror-maker")
    assert is_ours(f"{A}.2")


def test_two_passwords_hold_while_one_is_changed() -> None:
    """The other name of the owner, alternately; a third is refused."""
    known, second = rotated(given_out(A), A, until=NOW)
    assert second == f"{A}.2"
    known = known.changed(account(second, A))
    assert known.users() == {A: A, second: A}
    with pytest.raises(ComplaintError, match="two passwords already"):
        rotated(known, A, until=NOW)
    asked = due(known, [registry(unit(A))], now=NOW, remove=False)
    assert [one.name for one in asked.gone] == [A]
    rest = remaining(known, asked)
    assert (rest.users(), rest.left) == ({second: A}, ())
    assert rotated(rest, A, until=NOW)[1] == A


def test_a_unit_that_left_waits_for_a_word_and_is_then_denied_by_name() -> None:
    """And is taken in again as if it had never been away."""
    asked = due(given_out(A, B), [registry(unit(B))], now=NOW, remove=False)
    assert ([one.name for one in asked.waits], asked.gone) == ([A], ())
    asked = due(given_out(A, B), [registry(unit(B))], now=NOW, remove=True)
    rest = remaining(given_out(A, B), asked)
    assert rest.left == (A,)
    assert f"user {A}\ntopic deny energy/v1/{A}/#" in plan(rest, NOTHING).acl
    again = due(rest, [registry(unit(A), unit(B))], now=NOW, remove=False)
    assert remaining(rest, again).left == ()


def test_a_unit_may_write_its_topic_and_nothing_else() -> None:
    """No group, no transaction, no reading; its second name the same."""
    for user in (A, f"{A}.2"):
        found = rights({user: A}, prefix="p.")
        assert found == {Right(user, "WRITE", "TOPIC", f"p.enterprise.{A}.readings")}


def test_no_service_may_write_for_a_unit() -> None:
    """Neither on a unit's Kafka topic nor on its MQTT topic."""
    found = rights(dict.fromkeys(SERVICES) | {name: name for name in SERVICES})
    writes = [one.name for one in found if one.operation == "WRITE"]
    assert not [name for name in writes if "enterprise".startswith(name) or "enterprise" in name]
    gateway = mosquitto_acl({"gateway": "gateway"}).partition("user gateway")[2]
    assert "write energy/v1/+/readings" not in gateway


def test_only_units_and_the_gateway_are_known_to_mosquitto() -> None:
    """A worker has no business there."""
    assert mosquitto_passwords(given_out(A, *SERVICES)) == f"{A}:h\ngateway:h\n"
