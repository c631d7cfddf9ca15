"""The four parts together: up, down, and one at a time for those who break them."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from deploy.local import ports, private_root, process
from deploy.local.alertmanager import Alertmanager
from deploy.local.broker import Broker, fetch_jars, jars_folder
from deploy.local.certificates import Authority
from deploy.local.complaint import ComplaintError
from deploy.local.database import Database
from deploy.local.java import machine_java, machine_maven
from deploy.local.mosquitto import GATEWAY, QUEUED_BYTES, Mosquitto
from deploy.local.private_root import PrivateRoot
from deploy.local.process import ServerProcess
from deploy.local.state import Say, State, chosen_folder, chosen_programs

PARTS = ("kafka", "database", "mqtt", "alertmanager")

_START_PATIENCE = 120.0
_LARGEST_LOG = 64 * 1024 * 1024


class Part(Protocol):
    """One server."""

    @property
    def name(self) -> str:
        """What it is called on the command line."""

    @property
    def address(self) -> str:
        """Where it listens."""

    @property
    def stop_signal(self) -> signal.Signals:
        """What makes it end in order, without waiting for its clients."""

    @property
    def patience(self) -> float:
        """How many seconds it may take to end before it is killed."""

    def prepare(self) -> None:
        """Write its settings, and what it needs the first time. Repeating is harmless."""

    def command(self) -> list[str]:
        """Return what runs it in the foreground."""

    def answers(self) -> bool:
        """Tell whether it serves, by its own protocol."""

    def after_start(self) -> None:
        """Do what needs it running. Repeating is harmless."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the parts are. Addresses hold for parts that are down, too."""

    kafka: str
    database_url: str
    mqtt_host: str
    mqtt_port: int
    mqtt_user: str
    mqtt_password_file: Path
    kafka_tls: str
    """Where Kafka asks for user and password."""
    mqtt_tls_port: int
    """Where Mosquitto asks for user and password over TLS."""
    mqtt_certificates_port: int
    """Where Mosquitto asks for the client's certificate, whose CN is the user."""
    authority: Path
    """The certificate of who signed the parts' own."""
    alertmanager: str
    webhook: str
    """Where Alertmanager posts: who wants to hear listens there."""
    pids: Mapping[str, int]
    """Of the parts that run."""

    def environment(self) -> dict[str, str]:
        """Return the settings that the services read."""
        return {
            "WEIR_KAFKA": self.kafka,
            "WEIR_DATABASE_URL": self.database_url,
            "WEIR_MQTT": f"{self.mqtt_host}:{self.mqtt_port}",
            "WEIR_MQTT_USER": self.mqtt_user,
            "WEIR_MQTT_PASSWORD_FILE": str(self.mqtt_password_file),
            "WEIR_ALERTMANAGER": self.alertmanager,
            "WEIR_ALERTMANAGER_WEBHOOK": self.webhook,
        }


@dataclass(frozen=True, slots=True)
class PartStatus:
    """What is known of one part."""

    part: str
    state: str
    """`up`, `silent` (it runs, and does not answer on its port) or `down`."""
    pid: int | None
    address: str
    log: str


def say_nothing(_line: str) -> None:
    """Where a test's progress lines go."""


class LocalParts:
    """The parts of one state folder."""

    def __init__(
        self, folder: Path | None = None, *, programs: Path | None = None, say: Say = say_nothing
    ) -> None:
        folder = folder.resolve() if folder else chosen_folder()
        programs = programs.resolve() if programs else chosen_programs(folder)
        self.state = State(folder, programs)
        self.root = PrivateRoot(self.state)
        self._say = say

    def up(
        self,
        only: Sequence[str] = PARTS,
        *,
        asked_ports: Mapping[str, int] | None = None,
        webhook: str | None = None,
    ) -> Endpoints:
        """Start what is not up yet, making what is missing. Up already: say so, no more."""
        asked = ports.asked_for(asked_ports or {})
        with self.state.locked(self._say):
            starting = [name for name in only if not self._told_as_up(name, asked)]
            self._choose_ports(starting, asked)
            if webhook is not None:
                self._change_webhook(webhook)
            if starting:
                self._provide(starting)
                _together([partial(self._start, name) for name in starting])
        return self.endpoints()

    def down(self, only: Sequence[str] = PARTS) -> None:
        """Stop what runs."""
        with self.state.locked(self._say):
            _together([partial(self._stop, name) for name in only])

    def start(self, name: str) -> None:
        """Start one part, which was up before, on the port it had."""
        with self.state.locked(self._say):
            if self._process(name) is not None:
                return
            if not ports.is_free(self._port(name)):
                message = f"port {self._port(name)}, which {name} had, is taken"
                raise ComplaintError(message, "`up` gives it another")
            self._provide([name])
            self._start(name)

    def stop(self, name: str, *, kill: bool = False) -> None:
        """Stop one part in order; with `kill` as a power cut would."""
        with self.state.locked(self._say):
            self._stop(name, kill=kill)

    def pid(self, name: str) -> int:
        """Return the process id of a part that runs."""
        running = self._process(name)
        if running is None:
            message = f"{name} is down"
            raise ComplaintError(message, "python3 -m deploy.local up")
        return running.pid

    def endpoints(self) -> Endpoints:
        """Return where the parts are."""
        if not self.state.recall():
            message = f"nothing was ever started in {self.state.folder}"
            raise ComplaintError(message, "python3 -m deploy.local up")
        mqtt = self._mqtt()
        running = {name: self._process(name) for name in PARTS}
        return Endpoints(
            kafka=self._part("kafka").address,
            database_url=self.database().url,
            mqtt_host=ports.LOOPBACK,
            mqtt_port=mqtt.port,
            mqtt_user=GATEWAY,
            mqtt_password_file=mqtt.password_file,
            kafka_tls=f"{ports.LOOPBACK}:{self._port('kafka_tls')}",
            mqtt_tls_port=mqtt.tls_port,
            mqtt_certificates_port=mqtt.certificates_port,
            authority=self.authority().certificate,
            alertmanager=self._part("alertmanager").address,
            webhook=self._webhook(),
            pids={name: server.pid for name, server in running.items() if server},
        )

    def status(self) -> list[PartStatus]:
        """Return what runs where, each asked by its own protocol."""
        return [self._status(name) for name in PARTS]

    def set_mqtt_users(self, users: Mapping[str, str], acl: str) -> None:
        """Replace Mosquitto's users and access list, as `Mosquitto.set_users` says."""
        with self.state.locked(self._say):
            self._mqtt().set_users(users, acl, running=self._process("mqtt"))

    def database(self) -> Database:
        """Return the part `database`, for its `query`."""
        return Database(self.state, self.root, self._port("database"))

    def authority(self) -> Authority:
        """Return who signs the certificates of the parts, and of their clients."""
        return Authority(self.state, self.root)

    def renew_certificates(self, only: Sequence[str] = ("kafka", "mqtt")) -> None:
        """Give them new certificates; who is connected stays so."""
        with self.state.locked(self._say):
            if "mqtt" in only:
                self._mqtt().renew_certificate(running=self._process("mqtt"))
            if "kafka" in only:
                self._broker().renew_certificate()

    def _broker(self) -> Broker:
        names = ("kafka", "kafka_controller", "kafka_tls")
        return Broker(self.state, self.root, self.authority(), *map(self._port, names))

    def _mqtt(self) -> Mosquitto:
        names = ("mqtt", "mqtt_tls", "mqtt_certificates")
        queued = int(self.state.recall().get("mqtt_queued_bytes", QUEUED_BYTES))
        port, tls, certificates = map(self._port, names)
        return Mosquitto(
            self.state, self.root, self.authority(), port, tls, certificates, queued_bytes=queued
        )

    def _part(self, name: str) -> Part:
        port = self._port(name)
        match name:
            case "kafka":
                return self._broker()
            case "database":
                return self.database()
            case "mqtt":
                return self._mqtt()
            case _:
                return Alertmanager(self.state, self.root, port, self._webhook())

    def _port(self, name: str) -> int:
        if name not in ports.DEFAULTS:
            message = f"there is no part {name!r}"
            raise ComplaintError(message, f"one of {', '.join(PARTS)}")
        return int(self.state.recall().get(name, ports.DEFAULTS[name]))

    def _webhook(self) -> str:
        default = f"http://{ports.LOOPBACK}:{self._port('webhook')}/"
        return self.state.recall().get("webhook_url", default)

    def _process(self, name: str) -> ServerProcess | None:
        return process.recorded(self.state.folder / name / "pid.json")

    def _told_as_up(self, name: str, asked: Mapping[str, int]) -> bool:
        """Tell whether a part is up; stop one that runs and does not answer."""
        status = self._status(name)
        if status.state == "silent":
            self._say(f"{name:<13} runs (pid {status.pid}) and does not answer; starting it anew")
            self._stop(name)
        if status.state != "up":
            return False
        if asked.get(name, self._port(name)) != self._port(name):
            message = f"{name} is already up at {status.address}"
            raise ComplaintError(message, f"`down --only {name}`, then `up` again")
        self._say(f"{name:<13} already up at {status.address} (pid {status.pid})")
        return True

    def _status(self, name: str) -> PartStatus:
        part, running = self._part(name), self._process(name)
        serves = running is not None and self._serves(part, running)
        state = "down" if running is None else "up" if serves else "silent"
        log = self.state.folder / name / "log"
        return PartStatus(name, state, running.pid if running else None, part.address, str(log))

    def _serves(self, part: Part, server: ServerProcess) -> bool:
        """Whether a part answers, and it is ours that does: another may have taken its port meanwhile."""
        return part.answers() and process.listens(server, self._port(part.name))

    def _choose_ports(self, starting: Sequence[str], asked: Mapping[str, int]) -> None:
        """Choose ports for the parts that start, and the first time for all."""
        known = {name: self.state.recall().get(name) for name in ports.DEFAULTS}
        needed = {port for name in starting for port in (name, *ports.LISTENERS.get(name, ()))}
        needed |= {name for name, port in known.items() if port is None}
        kept = frozenset(int(port) for name, port in known.items() if port and name not in needed)
        chosen: dict[str, int] = {}
        for name in [name for name in ports.DEFAULTS if name in needed]:
            chosen[name] = ports.choose(
                name,
                asked=asked.get(name),
                recorded=int(known[name] or 0) or None,
                others=kept | frozenset(chosen.values()),
            )
        if "webhook" in asked:
            chosen["webhook"] = asked["webhook"]
        self.state.remember(**{name: str(port) for name, port in chosen.items()})

    def _change_webhook(self, url: str) -> None:
        self.state.remember(webhook_url=url)
        running = self._process("alertmanager")
        if running is not None:
            self._part("alertmanager").prepare()
            running.signal(signal.SIGHUP)

    def _provide(self, starting: Sequence[str]) -> None:
        """Make the private root and fetch the jars, as far as they are needed and missing."""
        if self.state.programs == self.state.folder:
            self._provide_alone(starting)
            return
        with State(self.state.programs, self.state.programs).locked(self._say):
            self._provide_alone(starting)

    def _provide_alone(self, starting: Sequence[str]) -> None:
        no_jars = "kafka" in starting and not jars_folder(self.state).exists()
        packages = _packages(starting, no_jars=no_jars)
        if packages:
            private_root.make_sure_of_namespaces()
        jobs: list[Callable[[], None]] = []
        jobs += [] if self.root.holds(packages) else [partial(self._build_root, packages)]
        jobs += [self._fetch_jars] if no_jars else []
        if "maven" in packages:  # of the root: it must be there before it can fetch
            _one_by_one(jobs)
        else:
            _together(jobs)

    def _build_root(self, packages: Sequence[str]) -> None:
        began = time.monotonic()
        self._say(f"private root  making it from Debian {private_root.SUITE}: {' '.join(packages)}")
        self.root.build(packages, self._say)
        self._say(f"private root  made in {time.monotonic() - began:.1f} s")

    def _fetch_jars(self) -> None:
        began = time.monotonic()
        fetch_jars(self.state, self.root, self._say)
        self._say(f"kafka         jars fetched in {time.monotonic() - began:.1f} s")

    def _start(self, name: str) -> None:
        began = time.monotonic()
        part = self._part(name)
        part.prepare()
        folder = self.state.folder / name
        log = folder / "log"
        if log.exists() and log.stat().st_size > _LARGEST_LOG:
            log.replace(folder / "log.1")
        server = process.launch(part.command(), log=log)
        server.write(folder / "pid.json")
        self._wait(part, server, log)
        part.after_start()
        seconds = time.monotonic() - began
        self._say(f"{name:<13} up at {part.address} in {seconds:.1f} s (pid {server.pid})")

    def _wait(self, part: Part, server: ServerProcess, log: Path) -> None:
        deadline = time.monotonic() + _START_PATIENCE
        while not self._serves(part, server):
            if server.is_running() and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            what = "does not answer" if server.is_running() else "ended at once"
            process.stop(server, part.stop_signal, patience=part.patience)
            said = "\n    ".join(log.read_text(errors="replace").splitlines()[-6:])
            message = f"{part.name} {what}:\n    {said}"
            raise ComplaintError(message, f"the whole log: {log}")

    def _stop(self, name: str, *, kill: bool = False) -> None:
        running = self._process(name)
        if running is None:
            return
        began = time.monotonic()
        part = self._part(name)
        if kill:
            process.kill(running)
        else:
            process.stop(running, part.stop_signal, patience=part.patience)
        (self.state.folder / name / "pid.json").unlink(missing_ok=True)
        how = "killed" if kill else "stopped"
        self._say(f"{name:<13} {how} in {time.monotonic() - began:.1f} s")


def _packages(starting: Sequence[str], *, no_jars: bool) -> list[str]:
    """Return what the private root must hold for these parts on this machine."""
    alone = set(starting) <= {"kafka"} and private_root.find_tool("openssl")
    packages = [] if alone else list(private_root.SERVERS)
    if "kafka" in starting and no_jars and machine_maven() is None:
        packages += private_root.MAVEN
    elif "kafka" in starting and machine_java() is None:
        packages += private_root.JAVA
    # A root that is made at all is made for all parts: the next one must not remake it.
    return sorted({*packages, *private_root.SERVERS}) if packages else []


def _one_by_one(jobs: Sequence[Callable[[], None]]) -> None:
    for job in jobs:
        job()


def _together(jobs: Sequence[Callable[[], None]]) -> None:
    """Run jobs side by side to their ends, then raise the first failure."""
    with ThreadPoolExecutor(max_workers=max(len(jobs), 1)) as pool:
        futures = [pool.submit(job) for job in jobs]
    for future in futures:
        future.result()
