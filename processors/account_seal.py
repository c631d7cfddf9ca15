"""Signs accounts: Ed25519, so that a unit can show what was told to it and nobody can change it."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from schemas.feedback import canonical


class SealError(ValueError):
    """Not a private key that can sign."""


class Seal:
    """A private key at work."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        """`key`: how accounts name it."""
        self._private = private
        raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key = sha256(raw).hexdigest()[:16]

    @classmethod
    def of(cls, pem: str) -> "Seal":
        """From a PEM text (PKCS 8, without a password). Raises SealError."""
        try:
            private = load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            message = f"not a private key in PEM without a password: {error}"
            raise SealError(message) from error
        if not isinstance(private, Ed25519PrivateKey):
            message = "the key is not an Ed25519 one: make one with `feedback --new-key FILE`"
            raise SealError(message)
        return cls(private)

    @classmethod
    def new(cls) -> "Seal":
        """With a key that nobody had before."""
        return cls(Ed25519PrivateKey.generate())

    def private_pem(self) -> bytes:
        """The private key, to be kept where only the service reads it."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def public_pem(self) -> str:
        """The public key, for everybody."""
        return (
            self._private.public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def signed(self, account: Mapping[str, object]) -> bytes:
        """The account with the key's name and the signature, as JSON."""
        told = {**account, "signed_by": "Ed25519", "key": self.key}
        signature = self._private.sign(canonical(told))
        return orjson.dumps({**told, "signature": b64encode(signature).decode()})
