"""How long each kind of row is kept: dated settings, by default those of `retention.toml`."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Days = Annotated[int, Field(ge=60, le=36_500)]
"""Two months at least: topics keep 40 days, and a restored backup needs what it is to catch up with."""


class RetentionError(ValueError):
    """Settings that cannot be used; a line for each mistake."""


class KeepDays(BaseModel):
    """Days that rows are kept after nothing needs them; None is for ever."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    readings: Days | None = None
    """By business day."""
    rejections: Days | None = None
    """By business day; at least as long as the readings, whose upper bounds they may lift."""
    refused: Days | None = None
    """By day of receipt; dead letters stay until they were replayed."""
    ticks: Days | None = None
    """By day of the commit; at least as long as the readings, which are judged at them."""
    steps: Days | None = None
    """By day of the commit; the same."""
    outbox: Days | None = None
    """By day of the commit, with the feedback; what is not published stays."""
    hours: Days | None = None
    """By day, with the gaps that end in them; at least as long as the readings."""
    day_windows: Days | None = None
    """Days as last told, by their end."""

    @model_validator(mode="after")
    def _records_go_first(self) -> Self:
        for name in ("rejections", "ticks", "steps", "hours"):
            kept = getattr(self, name)
            if kept is not None and (self.readings is None or kept < self.readings):
                message = f"{name} must be kept at least as long as readings"
                raise ValueError(message)
        return self


class Retention(BaseModel):
    """A version of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, Field(min_length=1)]
    keep_days: KeepDays


def read_retention(path: str = "") -> Retention:
    """The settings of a file, or the default ones. Raises RetentionError."""
    try:
        source = Path(path) if path else files("schemas") / "retention.toml"
        return Retention.model_validate(tomllib.loads(source.read_text(encoding="utf-8")))
    except ValidationError as error:
        told = [
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
            for one in error.errors(include_url=False)
        ]
        raise RetentionError("\n".join(told)) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"{path or 'retention.toml'}: {error}"
        raise RetentionError(message) from error
