"""What people enter as files: frozen models with a hash of their content."""

import json
from hashlib import sha256

from pydantic import BaseModel, ConfigDict


class Entered(BaseModel):
    """A file, or a part of one; what it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def content_hash(self) -> str:
        """SHA-256 over the canonical JSON."""
        return hash_of(self.model_dump(mode="json"))


def hash_of(told: object) -> str:
    """SHA-256 over canonical JSON."""
    body = json.dumps(told, sort_keys=True, ensure_ascii=False)
    return sha256(body.encode()).hexdigest()
