"""How far a file was sent: a small file beside it, so that what was broken off goes on where Kafka had it."""

import json
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path

from ingest.complaint import ComplaintError


@dataclass(slots=True)
class Progress:
    """Records of one file, read by one mapping for one unit, that Kafka has."""

    path: Path
    key: str
    """Of the file's and the mapping's content, and of the unit: another of them begins anew."""
    records: int = 0
    complete: bool = False

    @classmethod
    def of(cls, path: Path, *, file: Path, mapping: Path, unit: str, ticks: str) -> "Progress":
        """What is written there of this very file; nothing sent where it is of another. ComplaintError."""
        try:
            with file.open("rb") as content:
                told = [file_digest(content, "sha256").hexdigest()]
            told += [sha256(mapping.read_bytes()).hexdigest(), unit, ticks]
            key = sha256("\n".join(told).encode()).hexdigest()
            kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except (OSError, ValueError) as error:
            message = f"how far it was sent cannot be read: {error}"
            raise ComplaintError(message) from error
        if not isinstance(kept, dict) or kept.get("key") != key:
            return cls(path, key)
        return cls(path, key, int(kept.get("records", 0)), bool(kept.get("complete")))

    def keep(self, records: int, *, complete: bool = False) -> None:
        """Kafka has so many of its records: written whole, or not at all. ComplaintError."""
        self.records, self.complete = records, complete
        told = {"key": self.key, "records": records, "complete": complete}
        incoming = self.path.with_name(f"{self.path.name}.incoming")
        try:
            incoming.write_text(json.dumps(told) + "\n", encoding="utf-8")
            incoming.replace(self.path)
        except OSError as error:
            message = f"how far it was sent cannot be written: {error}"
            raise ComplaintError(message) from error
