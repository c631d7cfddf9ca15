"""An account is as it was signed, or it is not: to the last digit."""

import json

import pytest

from ingest.complaint import ComplaintError
from ingest.verify import public_key, verdicts
from processors.account_seal import Seal, SealError

ACCOUNT = {
    "kind": "account",
    "unit": "91510100SYN0000001",
    "day": "2026-11-22",
    "revision": 1,
    "received": 14,
    "accepted": 7,
    "repeated": 3,
    "superseded": 2,
    "rejected": 1,
    "unreadable": 1,
}
SEAL = Seal.new()
KEY = public_key(SEAL.public_pem().encode())


def why(line: str) -> str:
    (one,) = verdicts([line], KEY)
    return one.why


def test_what_was_signed_is_right() -> None:
    """However its fields are ordered and spaced since."""
    line = SEAL.signed(ACCOUNT).decode()
    told = json.loads(line)
    assert why(line) == ""
    assert why(json.dumps(dict(sorted(told.items(), reverse=True)), indent=None)) == ""
    assert Seal.of(SEAL.private_pem().decode()).key == SEAL.key


@pytest.mark.parametrize("field", ["unit", "day", "revision", "received", "rejected"])
def test_what_was_changed_is_found_out(field: str) -> None:
    """Any field of it."""
    told = json.loads(SEAL.signed(ACCOUNT))
    other = {"unit": "91510100SYN0000002", "day": "2026-11-21"}.get(field, 99)
    assert why(json.dumps(told | {field: other})) == "it is not what was signed"


def test_another_key_is_named() -> None:
    """Accounts say which key signed them."""
    other = Seal.new()
    assert why(other.signed(ACCOUNT).decode()) == (
        f"signed by the key {other.key}, and this one is {SEAL.key}"
    )


def test_other_feedback_is_passed_over_and_nonsense_is_not() -> None:
    """Only accounts are signed."""
    lines = ['{"kind": "refused"}', '{"kind": "tried"}', "", "?", '{"kind": "account"}']
    assert [one.account for one in verdicts(lines, KEY)] == ["?", "{'kind': 'account'}"]


def test_keys_that_are_none_are_complained_about() -> None:
    """In words."""
    with pytest.raises(ComplaintError, match="not a public key"):
        public_key(b"?")
    with pytest.raises(SealError, match="not a private key"):
        Seal.of("?")
