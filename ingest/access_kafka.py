"""Users (SCRAM-SHA-512), rights and enterprises' topics at Kafka, through its own administration."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError, NoError

from ingest.access_rights import Right
from ingest.complaint import ComplaintError
from schemas.settings import Settings
from schemas.topics import enterprise_topic

_BOOTSTRAP_MS = 5_000
_ITERATIONS = 4_096
_AT_ONCE = 500
_USER = "User:"

Item = TypeVar("Item")


class KafkaAccess:
    """What the administrator may do."""

    def __init__(self, settings: Settings) -> None:
        """ComplaintError where the broker is not there or lets us not in."""
        self._where = settings.kafka
        with self._complaining():
            self._admin = KafkaAdminClient(
                bootstrap_servers=settings.kafka.split(","),
                **settings.kafka_client(),
                client_id="weir-access",
                bootstrap_timeout_ms=_BOOTSTRAP_MS,
            )

    def close(self) -> None:
        """Give the connection up."""
        self._admin.close()

    def users(self) -> frozenset[str]:
        """Who has a password for SCRAM-SHA-512."""
        with self._complaining():
            told = self._admin.describe_user_scram_credentials()
        return frozenset(
            user
            for user, one in told.items()
            if any(i["mechanism"] == ScramMechanism.SCRAM_SHA_512 for i in one["credential_infos"])
        )

    def rights(self) -> frozenset[Right]:
        """All that is allowed to users, in our words."""
        with self._complaining():
            found, error = self._admin.describe_acls(_every(ACLPermissionType.ALLOW))
            if error is not NoError:
                raise error
        return frozenset(
            Right(
                one.principal.removeprefix(_USER),
                one.operation.name,
                one.resource_pattern.resource_type.name,
                one.resource_pattern.resource_name,
                one.resource_pattern.pattern_type.name,
            )
            for one in found
        )

    def topics(self) -> frozenset[str]:
        """Names of all topics."""
        with self._complaining():
            return frozenset(self._admin.list_topics())

    def make_topics(self, names: Sequence[str]) -> None:
        """One partition each: a unit's order is kept."""
        for some in _portions(names):
            wanted = {
                name: {
                    "num_partitions": 1,
                    "replication_factor": -1,
                    "configs": dict(enterprise_topic(name).configs),
                }
                for name in some
            }
            with self._complaining():
                self._admin.create_topics(wanted)

    def set_passwords(self, passwords: Iterable[tuple[str, str]]) -> None:
        """Let users in by these passwords, and by no other."""
        self._alter(
            [
                UserScramCredentialUpsertion(
                    user, ScramMechanism.SCRAM_SHA_512, password, _ITERATIONS
                )
                for user, password in passwords
            ]
        )

    def remove_users(self, users: Iterable[str]) -> None:
        """Let them in no longer."""
        self._alter(
            [UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512) for user in users]
        )

    def grant(self, rights: Sequence[Right]) -> None:
        """Allow."""
        for some in _portions(rights):
            with self._complaining():
                done = self._admin.create_acls([_acl(right) for right in some])
            if done["failed"]:
                raise self._refused(done["failed"][0])

    def withdraw(self, rights: Sequence[Right]) -> None:
        """Allow no longer."""
        for some in _portions(rights):
            with self._complaining():
                done = self._admin.delete_acls([_filter(right) for right in some])
            for _, _, error in done:
                if error is not NoError:
                    raise self._refused(error)

    def _alter(self, alterations: Sequence[object]) -> None:
        for some in _portions(alterations):
            with self._complaining():
                done = self._admin.alter_user_scram_credentials(some)
            for user, error in done.items():
                if error:
                    raise self._refused(error, user)

    def _refused(self, said: object, *about: str) -> ComplaintError:
        return ComplaintError(f"Kafka at {self._where} refused {' '.join(about)}: {said}")

    @contextmanager
    def _complaining(self) -> Iterator[None]:
        try:
            yield
        except KafkaError as error:
            message = (
                f"Kafka at {self._where} is not there, or refuses ({error!r}): are WEIR_KAFKA and, "
                "where it asks, WEIR_KAFKA_USER (the administrator) right, and has it an authorizer?"
            )
            raise ComplaintError(message) from error


def _portions(items: Sequence[Item]) -> Iterator[list[Item]]:
    for first in range(0, len(items), _AT_ONCE):
        yield list(items[first : first + _AT_ONCE])


def _acl(right: Right) -> ACL:
    return ACL(
        _USER + right.user,
        "*",
        ACLOperation[right.operation],
        ACLPermissionType.ALLOW,
        ResourcePattern(
            ResourceType[right.kind], right.name, ACLResourcePatternType[right.pattern]
        ),
    )


def _filter(right: Right) -> ACLFilter:
    return ACLFilter(
        _USER + right.user,
        "*",
        ACLOperation[right.operation],
        ACLPermissionType.ALLOW,
        ResourcePatternFilter(
            ResourceType[right.kind], right.name, ACLResourcePatternType[right.pattern]
        ),
    )


def _every(permission: ACLPermissionType) -> ACLFilter:
    anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    return ACLFilter(None, None, ACLOperation.ANY, permission, anything)
