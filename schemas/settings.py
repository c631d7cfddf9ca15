"""Settings of all services, from the environment: `WEIR_...`; secrets also from `WEIR_..._FILE`.

Nothing is read at import. `Settings.read()` says everything that is wrong at once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self, get_args
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from schemas.topics import INDICATORS, PARTITIONS, READINGS, of_generation

PREFIX = "WEIR_"

HostAndPort = Annotated[str, StringConstraints(pattern=r"^[^\s,:]+:[0-9]{1,5}$")]
Hosts = Annotated[str, StringConstraints(pattern=r"^[^\s,:]+:[0-9]{1,5}(,[^\s,:]+:[0-9]{1,5})*$")]
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")]


class SettingsError(ValueError):
    """Settings that cannot be used: one line for each."""


@dataclass(frozen=True, slots=True)
class _Problem:
    """Stands for a secret that could not be read, until validation says so with all the rest."""

    said: str


def _checked(told: object) -> object:
    if isinstance(told, _Problem):
        raise ValueError(told.said)  # noqa: TRY004 - pydantic gathers ValueErrors
    return told


Secret = Annotated[SecretStr, BeforeValidator(_checked)]


class _FromFiles(EnvSettingsSource):
    """The content of the file that `WEIR_..._FILE` names, without the line's end."""

    def get_field_value(
        self, field: FieldInfo, field_name: str
    ) -> tuple[str | _Problem | None, str, bool]:
        variable = f"{PREFIX}{field_name}".upper()
        path = self.env_vars.get(f"{variable}_FILE".lower())
        if not path or Secret not in get_args(field.annotation):
            return None, field_name, False
        if self.env_vars.get(variable.lower()):
            told: str | _Problem = _Problem(
                f"{variable} and {variable}_FILE are both set: keep one"
            )
        else:
            told = _content(variable, path)
        return told, field_name, False


def _content(variable: str, path: str) -> str | _Problem:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        return _Problem(f"{variable}_FILE={path!r} cannot be read: {error}")


class Settings(BaseSettings):
    """Where the parts are, and what they are given."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    kafka: Hosts = "127.0.0.1:9092"
    """Bootstrap servers: `kafka-1:9092,kafka-2:9092`."""
    kafka_user: str | None = None
    """Who this process is to Kafka (SCRAM-SHA-512 over TLS). None: to a broker that asks nobody, as the local one."""
    kafka_password: Secret | None = None
    kafka_authority: str = ""
    """Who signed the brokers' certificates, a PEM file: `/etc/weir/ca.pem`, or `/etc/ssl/certs/ca-certificates.crt`."""
    database_url: Secret | None = None
    """`postgresql://weir:secret@127.0.0.1:5432/weir`; better as a file."""
    mqtt: HostAndPort = "127.0.0.1:1883"
    """The MQTT broker: `broker:1883`."""
    mqtt_user: str | None = None
    mqtt_password: Secret | None = None
    feedback_key: Secret | None = None
    """The private key (Ed25519, PEM) that signs accounts, as a file: `WEIR_FEEDBACK_KEY_FILE=/etc/weir/feedback.pem`."""
    mqtt_share: Secret | None = None
    """Name of the gateways' shared subscription, as `access apply` makes it (`secrets/mqtt-share`).

    Units must not guess it: the broker gives a member who may not read a message its share of them all the same, and they are lost."""
    mqtt_authority: str = ""
    """Who signed the broker's certificate, a PEM file; without it the connection is plain, for the loopback."""
    mqtt_certificate: str = ""
    """Our own certificate, a PEM file: to a broker that asks for one instead of a password."""
    mqtt_key: str = ""
    """Its key, a PEM file."""
    alertmanager: HttpUrl = "http://127.0.0.1:9093"
    """Alertmanager's address, without `/api/v2`."""
    alertmanager_webhook: HttpUrl | None = None
    """Where Alertmanager posts what it sends on: a receiver for the demo and the tests."""
    partitions: Annotated[int, Field(ge=1, le=1_024)] = PARTITIONS
    """Partitions of the readings; every door and worker must say the same."""
    topic_prefix: Annotated[str, StringConstraints(pattern=r"^[a-z0-9.]*$")] = ""
    """Before every topic's name, so that several Weirs share a broker: `test7.`."""
    packs: str = ""
    """An operator's own packs, files or directories, for `python -m processors packs`: `/etc/weir/pack:/etc/weir/local.toml`, a later one first in force.

    The stream converts by what the database holds; taking other factors into force restates the past, which is an act of its own."""
    retention: str = ""
    """A file of own settings for `python -m processors retention`: `/etc/weir/retention.toml`; else `schemas/retention.toml`."""
    instance: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,200}$")] | None = None
    """A stable name in the group, one a worker (`worker-0`): started again within its session it disturbs nobody (static membership)."""
    tick_silence_seconds: Annotated[float, Field(gt=0)] = 180.0
    """Without a tick for so long a worker tells an alarm: three times the clock's interval."""
    generation: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1
    """Number of the log: one more each time it begins anew (`python -m processors partitions resize`)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        kafka = (self.kafka_user, self.kafka_password, self.kafka_authority)
        if any(kafka) and not all(kafka):
            message = f"{PREFIX}KAFKA_USER, _PASSWORD and _AUTHORITY belong together: set all three, or none"
            raise ValueError(message)
        mqtt = (self.mqtt_certificate, self.mqtt_key, self.mqtt_authority)
        if any(mqtt[:2]) and not all(mqtt):
            message = f"{PREFIX}MQTT_CERTIFICATE, _KEY and _AUTHORITY belong together: set all three, or only the last"
            raise ValueError(message)
        return self

    def kafka_client(self) -> dict[str, str]:
        """What kafka-python's clients are given so that they prove who they are; nothing where nobody asks."""
        if self.kafka_user is None or self.kafka_password is None:
            return {}
        return {
            "security_protocol": "SASL_SSL",
            "ssl_cafile": self.kafka_authority,
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": self.kafka_user,
            "sasl_plain_password": self.kafka_password.get_secret_value(),
        }

    @property
    def readings_topic(self) -> str:
        """Name of the readings' topic, prefix and generation in it."""
        return self.topic_prefix + of_generation(READINGS, self.generation)

    @property
    def indicators_topic(self) -> str:
        """The same of the indicators'."""
        return self.topic_prefix + of_generation(INDICATORS, self.generation)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - no .env: one place to look
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - see _FromFiles
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _FromFiles(settings_cls), env_settings

    @classmethod
    def read(cls) -> Self:
        """The settings of this process; SettingsError with all that is wrong in them."""
        try:
            return cls()
        except ValidationError as error:
            lines = [_complaint(item) for item in error.errors(include_url=False)]
            raise SettingsError("\n".join(lines)) from error

    def shown(self) -> str:
        """One `WEIR_...=` line a setting, secrets hidden."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return "\n".join(
            f"{PREFIX}{name.upper()}={_shown(value)}" for name, value in values.items()
        )


def kafka_client() -> dict[str, str]:
    """`Settings.kafka_client` of this process: it is one user to Kafka, whatever it does there."""
    return Settings.read().kafka_client()


def _complaint(error: ErrorDetails) -> str:
    """One line; of a secret never the value."""
    told = error["input"]
    if isinstance(told, _Problem):
        return told.said
    if not error["loc"]:  # of several settings together
        return error["msg"].removeprefix("Value error, ")
    return f"{PREFIX}{str(error['loc'][0]).upper()}={told!r}: {error['msg']}"


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return _without_password(value.get_secret_value())
    return "" if value is None else str(value)


def _without_password(secret: str) -> str:
    """A URL without its password; anything else as stars."""
    try:
        parts = urlsplit(secret)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "**********"
    if not parts.scheme or not host:
        return "**********"
    user = f"{parts.username}:**********@" if parts.username else ""
    return urlunsplit(
        (parts.scheme, f"{user}{host}{f':{port}' if port else ''}", parts.path, "", "")
    )
