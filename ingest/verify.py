"""Is an account as it was signed? For whoever holds one and the public key. Pure."""

import binascii
import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from pydantic import ValidationError

from ingest.complaint import ComplaintError
from schemas.feedback import Account, canonical


class Verdict(NamedTuple):
    """On one account."""

    account: str
    """`UNIT DAY revision N: received ...`; what could be read of one that is none."""
    why: str
    """What is wrong; empty where it is as it was signed."""


def public_key(pem: bytes) -> Ed25519PublicKey:
    """The key in a PEM text; ComplaintError where there is none."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        message = f"not a public key in PEM: {error}"
        raise ComplaintError(message) from error
    if not isinstance(key, Ed25519PublicKey):
        message = "not an Ed25519 public key: accounts are signed with one"
        raise ComplaintError(message)
    return key


def verdicts(lines: Iterable[str], key: Ed25519PublicKey) -> Iterator[Verdict]:
    """On each account among lines of feedback; other feedback is not signed, and passed over."""
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            if line.strip():
                yield Verdict(line.strip()[:80], "not a JSON object")
        elif told.get("kind") not in {"refused", "tried", "stop"}:
            yield _verdict(told, key)


def _verdict(told: dict[str, object], key: Ed25519PublicKey) -> Verdict:
    try:
        account = Account.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        return Verdict(str(told)[:80], f"not an account: {where}: {first['msg']}")
    classes = ("accepted", "repeated", "superseded", "rejected", "unreadable")
    counts = ", ".join(f"{getattr(account, name):,} {name}" for name in classes)
    named = (
        f"{account.unit} {account.day} revision {account.revision}:"
        f" received {account.received:,} = {counts}"
    )
    return Verdict(named, _wrong(told, account, key))


def _wrong(told: dict[str, object], account: Account, key: Ed25519PublicKey) -> str:
    known = sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]
    if account.key != known:
        return f"signed by the key {account.key}, and this one is {known}"
    try:
        key.verify(b64decode(account.signature, validate=True), canonical(told))
    except (InvalidSignature, binascii.Error):
        return "it is not what was signed"
    return ""
