"""Apache Kafka, one node that is broker and controller (KRaft), from its published jars."""

import base64
import hashlib
import shutil
import signal
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from deploy.local.certificates import Authority, write_secret
from deploy.local.complaint import ComplaintError
from deploy.local.java import machine_java, machine_maven
from deploy.local.ports import LOOPBACK
from deploy.local.private_root import PrivateRoot
from deploy.local.state import Say, State, write_whole
from deploy.local.wire import kafka_has_broker

_HERE = Path(__file__).parent / "kafka"
_KEYSTORE = "server-with-key.pem"

_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=BROKER://{host}:{port},SECURE://{host}:{tls_port},CONTROLLER://{host}:{controller_port}
advertised.listeners=BROKER://{host}:{port},SECURE://{host}:{tls_port}
listener.security.protocol.map=BROKER:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
log.dirs={data}

# Who comes by the loopback's plain listener is asked nothing and may do everything: it is for this
# machine. On SECURE each proves who it is, and may do what its rights say, nothing without any.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:admin
listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.secure.scram-sha-512.sasl.jaas.config={scram} required;
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={keystore}

# A topic is made on purpose, with its partitions and retention, or a typo becomes one.
auto.create.topics.enable=false

# A group of one worker must not wait three seconds for others to join, and a test that
# kills a worker must not wait 45 for the broker to notice: sessions down to one second.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000

# A killed broker that comes back is refused until its former self is given up: 9 s unless said.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500

# One node: nothing can be replicated, and fifty partitions of offsets are fifty folders.
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# The cleaner's buffer is 128 MB unless said: a quarter of our heap.
log.cleaner.dedupe.buffer.size=16777216
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """The part `kafka`.

    It runs as the caller, not as `weir`: the machine's own Java may lie anywhere.
    """

    state: State
    root: PrivateRoot
    authority: Authority
    port: int
    controller_port: int
    tls_port: int

    name = "kafka"
    stop_signal = signal.SIGTERM
    patience = 60.0

    @property
    def address(self) -> str:
        """What clients are given as bootstrap server."""
        return f"{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Write the settings; format the log folder the first time."""
        data = self._folder / "data"
        settings = _SETTINGS.format(
            host=LOOPBACK,
            port=self.port,
            controller_port=self.controller_port,
            tls_port=self.tls_port,
            scram="org.apache.kafka.common.security.scram.ScramLoginModule",
            keystore=self._folder / _KEYSTORE,
            data=data,
        )
        if not (self._folder / _KEYSTORE).exists():
            self._write_certificate()
        write_whole(self._folder / "server.properties", settings)
        shutil.copyfile(_HERE / "log4j2.xml", self._folder / "log4j2.xml")
        if not (data / "meta.properties").exists():
            self._format(data)

    def command(self) -> list[str]:
        """Return what runs the broker."""
        return self._java("kafka.Kafka", str(self._folder / "server.properties"))

    def answers(self) -> bool:
        """Tell whether the broker serves."""
        return kafka_has_broker(self.port)

    def after_start(self) -> None:
        """Nothing: topics belong to the services."""

    def renew_certificate(self) -> None:
        """Use a new certificate; who is connected stays so. The broker must be up."""
        self._write_certificate()
        # Set to what it is already: the broker looks whether the file is another one.
        same = f"listener.name.secure.ssl.keystore.location={self._folder / _KEYSTORE}"
        done = subprocess.run(
            self._java(
                "kafka.admin.ConfigCommand",
                *("--bootstrap-server", self.address, "--entity-type", "brokers"),
                *("--entity-name", "1", "--alter", "--add-config", same),
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            message = f"Kafka does not read its certificate again: {done.stdout[-400:]}"
            raise ComplaintError(message, "`down --only kafka`, then `up`")

    def _write_certificate(self) -> None:
        issued = self.authority.server()
        write_secret(self._folder / _KEYSTORE, issued.key + issued.certificate)

    @property
    def _folder(self) -> Path:
        return self.state.part_folder(self.name, for_server=False)

    def _format(self, data: Path) -> None:
        shutil.rmtree(data, ignore_errors=True)  # left by a format that was interrupted
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        settings = str(self._folder / "server.properties")
        arguments = ["format", "--cluster-id", f"w{cluster[1:]}", "--config", settings]
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            message = f"Kafka's log folder could not be formatted: {done.stdout[-400:]}"
            raise ComplaintError(message, f"remove {self._folder}, then `up` again")

    def _java(self, main: str, *arguments: str) -> list[str]:
        java = machine_java()
        line = [
            java or "/usr/bin/java",
            *("-Xms512m", "-Xmx512m", "-XX:+UseG1GC", "-XX:+ExitOnOutOfMemoryError"),
            *("-Djava.net.preferIPv4Stack=true", "-Djava.awt.headless=true"),
            f"-Dlog4j2.configurationFile={self._folder / 'log4j2.xml'}",
            *("-cp", f"{jars_folder(self.state)}/*", main, *arguments),
        ]
        return line if java else self.root.command(line, as_caller=True)


def jars_folder(state: State) -> Path:
    """Return where the jars of the present pom.xml are, or will be."""
    pom = hashlib.sha256((_HERE / "pom.xml").read_bytes()).hexdigest()[:12]
    return state.programs / f"kafka-jars-{pom}"


def fetch_jars(state: State, root: PrivateRoot, say: Say) -> None:
    """Copy the jars that pom.xml names, with the machine's Maven or the root's."""
    folder = jars_folder(state)
    new = folder.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    say("kafka         fetching its jars with Maven")
    maven = machine_maven()
    arguments = [
        *("--batch-mode", "--no-transfer-progress", "--file", str(_copied_pom(state))),
        *("dependency:copy-dependencies", "-DincludeScope=runtime"),
        f"-DoutputDirectory={new}",
    ]
    own = state.programs / "maven"
    command = [maven, *arguments] if maven else _maven_of_root(own, root, arguments)
    log = state.programs / "kafka-jars.log"
    with log.open("w") as output:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
    shutil.rmtree(own, ignore_errors=True)
    if done.returncode != 0:
        message = f"Maven could not fetch Kafka's jars; its log: {log}"
        raise ComplaintError(message, "is Maven Central reachable with this machine's settings?")
    for old in state.programs.glob("kafka-jars-*"):
        if old.is_dir() and old != new:
            shutil.rmtree(old)
    new.rename(folder)


def _copied_pom(state: State) -> Path:
    """Return a copy beside the jars: the root sees nothing else of ours."""
    copied = state.programs / "kafka-pom.xml"
    shutil.copyfile(_HERE / "pom.xml", copied)
    return copied


def _maven_of_root(folder: Path, root: PrivateRoot, arguments: list[str]) -> list[str]:
    """Run the root's Maven in `folder`, with the user's own settings where there are any."""
    folder.mkdir(mode=0o700, exist_ok=True)
    theirs = Path.home() / ".m2/settings.xml"
    settings = []
    if theirs.exists():
        shutil.copyfile(theirs, folder / "settings.xml")
        settings = ["--settings", str(folder / "settings.xml")]
    repository = f"-Dmaven.repo.local={folder / 'repository'}"
    return root.command(["/usr/bin/mvn", *settings, repository, *arguments], as_caller=True)
