"""The private root: a Debian trixie in a folder, from which the servers run.

Nothing of it is installed into the machine. Programs run in a mount namespace of their
own that ends with them (so no mount is ever left behind), chrooted, as the user `weir`;
the state folder has the same path inside as outside, so that one configuration file is
true for both.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.complaint import ComplaintError
from deploy.local.state import SERVER_UID, Say, State, complain_about

SUITE = "trixie"
SERVERS = (
    "kcat",
    "mosquitto",
    "mosquitto-clients",
    "postgresql-17",
    "postgresql-17-timescaledb",
    "prometheus-alertmanager",
)
JAVA = ("openjdk-21-jre-headless",)
MAVEN = ("maven", *JAVA)

_STAMP = "etc/weir-packages"
"""Written last: a root without it is half made."""

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_OWN_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""System tools are looked for here too: a user's PATH often lacks the sbin folders."""

_CLUSTERS = "$1/etc/postgresql-common/createcluster.conf"

_ENTER = """
set -e
root=$1 state=$2 programs=$3; shift 3
for name in proc dev sys; do mount --rbind "/$name" "$root/$name"; done
for name in hosts resolv.conf; do
  if [ -e "/etc/$name" ]; then mount --bind "/etc/$name" "$root/etc/$name"; fi
done
for folder in "$state" "$programs"; do
  mkdir -p "$root$folder"
  mount --bind "$folder" "$root$folder"
done
exec chroot "$root" "$@"
"""
"""Each step replaces the one before (exec), so the pid that we record is the server's."""


@dataclass(frozen=True, slots=True)
class PrivateRoot:
    """One Debian root below the state folder."""

    state: State

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.state.programs / "root"

    def holds(self, packages: Sequence[str]) -> bool:
        """Tell whether the root is complete and has these packages."""
        stamp = self.path / _STAMP
        return stamp.exists() and set(packages) <= set(stamp.read_text().split())

    def build(self, packages: Sequence[str], say: Say) -> None:
        """Make the root anew with these packages, beside the old one, then swap."""
        if self.is_in_use():
            message = f"{self.path} lacks {' '.join(packages)}, and servers run from it"
            raise ComplaintError(message, "`down`, then `up`: it will be made anew")
        new = self.path.with_name("root.new")
        remove_tree(new)
        make_sure_of_mmdebstrap(say)
        self._bootstrap(new, sorted(set(packages)))
        for name in ("hosts", "resolv.conf"):
            (new / "etc" / name).unlink(missing_ok=True)
            (new / "etc" / name).touch()
        (new / _STAMP).write_text("\n".join(sorted(set(packages))))
        remove_tree(self.path)
        new.rename(self.path)

    def is_in_use(self) -> bool:
        """Tell whether any process runs from it, of this state folder or of another."""
        return any(_root_of(entry) == str(self.path) for entry in Path("/proc").iterdir())

    def command(
        self, program: Sequence[str], *, as_caller: bool = False, **environment: str
    ) -> list[str]:
        """Return the command line that runs `program` inside, as `weir` if root may."""
        settings = [f"{name}={value}" for name, value in environment.items()]
        return [
            *namespace(),
            tool("sh"),
            "-c",
            _ENTER,
            "enter",
            str(self.path),
            str(self.state.folder),
            str(self.state.programs),
            *("/usr/bin/env", "-i", f"PATH={_SYSTEM_PATH}", "LANG=C.UTF-8"),
            *settings,
            *([] if as_caller else _drop_privileges()),
            *program,
        ]

    def run(self, program: Sequence[str], **environment: str) -> str:
        """Run a program inside to its end and return what it printed."""
        done = subprocess.run(
            self.command(program, as_caller=False, **environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            message = f"{program[0]} ended with {done.returncode}: {done.stdout.strip()}"
            raise ComplaintError(message, "`down`, then `up`; if it stays, remove the state folder")
        return done.stdout

    def _bootstrap(self, new: Path, packages: Sequence[str]) -> None:
        log = self.path.with_name("root.log")
        command = [tool("mmdebstrap"), *_options(packages)]
        with log.open("w") as output:
            if os.geteuid() == 0:
                steps = [[*command, "--mode=root", SUITE, str(new), *mirrors(SUITE)]]
            else:
                steps = _without_root(command, new)
            for step in steps:
                done = subprocess.run(
                    step, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
                )
                if done.returncode != 0:
                    raise _build_failed(log)


def _root_of(entry: Path) -> str:
    """Return the root folder of a process; nothing for one that is not ours to see."""
    try:
        return str((entry / "root").readlink())
    except OSError:
        return ""


def _options(packages: Sequence[str]) -> list[str]:
    """Say what is left out, and what the packages' install scripts stumble over."""
    return [
        # Java's install script wants this folder, which the exclusion below leaves out.
        "--essential-hook=mkdir -p $1/usr/share/man/man1",
        # The cluster that Debian would create at once is not ours: no initdb for nothing.
        "--essential-hook=mkdir -p $1/etc/postgresql-common",
        f"--essential-hook=echo create_main_cluster=false > {_CLUSTERS}",
        *_certificate_hooks(),
        f"--customize-hook=chroot $1 groupadd --gid {SERVER_UID} weir",
        f"--customize-hook=chroot $1 useradd --home-dir /tmp --uid {SERVER_UID} --gid weir weir",
        "--variant=essential",
        f"--include={','.join(packages)}",
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")),
        *(f"--aptopt={setting}" for setting in _apt_settings()),
    ]


def _certificate_hooks() -> list[str]:
    """Trust inside whom the machine trusts: a company's own authority, for Maven."""
    if not any(_OWN_CERTIFICATES.glob("*.crt")):
        return []
    inside = f"$1{_OWN_CERTIFICATES}"
    return [
        f"--essential-hook=mkdir -p {inside}",
        f"--essential-hook=cp {_OWN_CERTIFICATES}/*.crt {inside}",
    ]


def _apt_settings() -> list[str]:
    """Return the machine's own apt settings about reaching its mirror: proxy, checks."""
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries")
    lines = _answer([tool("apt-config"), "dump"]).splitlines()
    return [line for line in lines if line.startswith(wanted) and ' "";' not in line]


def mirrors(suite: str) -> list[str]:
    """Return the machine's own Debian mirrors, for a suite; none: mmdebstrap's."""
    listed = _answer(
        [
            *(tool("apt-get"), "indextargets", "Created-By: Packages"),
            *("--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"),
        ]
    )
    suites = {"Debian|Debian": suite, "Debian|Debian-Security": f"{suite}-security"}
    trust = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
    found: dict[str, str] = {}
    for line in listed.splitlines():
        label, _, address = line.rpartition("|")
        if label in suites:
            found.setdefault(suites[label], f"deb {trust}{address} {suites[label]} main")
    return list(found.values()) if suite in found else []


def _answer(command: Sequence[str]) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout


def _without_root(command: Sequence[str], new: Path) -> list[list[str]]:
    """Build in a user namespace, then unpack as ourselves: `rm -r` must stay possible."""
    archive = new.with_suffix(".tar")
    new.mkdir()
    return [
        [*command, "--mode=unshare", "--format=tar", SUITE, str(archive), *mirrors(SUITE)],
        [tool("tar"), "-C", str(new), "--exclude=./dev/*", "-xf", str(archive)],
        [tool("rm"), str(archive)],
    ]


def _build_failed(log: Path) -> ComplaintError:
    said = [line for line in log.read_text().splitlines() if line.startswith("E:")]
    return ComplaintError(
        f"the private root could not be built: {' '.join(said[:3]) or 'see the log'}",
        "is Debian's package registry reachable with this machine's apt settings?"
        " without root, are uidmap and a line for you in /etc/subuid there?"
        f" the whole log: {log}",
    )


def make_sure_of_mmdebstrap(say: Say) -> None:
    """Install mmdebstrap where it is missing: the one thing asked of the machine."""
    missing = [] if find_tool("mmdebstrap") else ["mmdebstrap"]
    missing += [] if _KEYRING.exists() else ["debian-archive-keyring"]
    if not missing:
        return
    names = " ".join(missing)
    if find_tool("apt-get") is None:
        message = f"{names} is missing, and there is no apt-get to install it"
        raise ComplaintError(message, "install mmdebstrap and Debian's keyring yourself")
    if os.geteuid() != 0:
        message = f"{names} is missing, and only root may install it"
        raise ComplaintError(message, f"as root: apt-get install {names} uidmap")
    say(f"installing into this machine with apt: {names} (nothing else)")
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run(
            [tool("apt-get"), "-q", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            check=False,
        )
        if done.returncode != 0:
            message = f"apt-get {arguments[0]} failed: {done.stdout.strip()[-400:]}"
            raise ComplaintError(message, "mend apt or the network, then `up` again")


def namespace() -> list[str]:
    """Return the start of a command line that gives its program mounts of its own.

    Without root the program keeps its capabilities within the user namespace just long
    enough to mount and chroot, under the servers' user and not as a mapped root, because
    PostgreSQL refuses that one as well.
    """
    if os.geteuid() == 0:
        return [tool("unshare"), "--mount"]
    user = [f"--map-user={SERVER_UID}", f"--map-group={SERVER_UID}", "--keep-caps"]
    return [tool("unshare"), "--user", *user, "--mount"]


def make_sure_of_namespaces() -> None:
    """Complain early, with the way out, where the kernel or a container forbids mounts."""
    done = subprocess.run(
        [*namespace(), tool("true")], stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        message = f"no mount namespace to be had here: {done.stderr.strip()}"
        raise ComplaintError(
            message,
            "run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1,"
            " kernel.apparmor_restrict_unprivileged_userns=0);"
            " in a container, give it CAP_SYS_ADMIN",
        )


def _drop_privileges() -> list[str]:
    nothing = ["--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs"]
    if os.geteuid() != 0:
        return ["/usr/bin/setpriv", *nothing]
    user = [f"--reuid={SERVER_UID}", f"--regid={SERVER_UID}", "--clear-groups"]
    return ["/usr/bin/setpriv", *user, *nothing]


def find_tool(name: str) -> str | None:
    """Return where a system tool is, the sbin folders included."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")


def tool(name: str) -> str:
    """Return where a system tool is; complain if it is nowhere."""
    found = find_tool(name)
    if found is None:
        message = f"{name} is missing on this machine"
        raise ComplaintError(message, f"install the package that brings {name}")
    return found


def remove_tree(path: Path) -> None:
    """Remove a root, unless something is mounted below it: that would be removed too."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    below = [line.split()[4] for line in mounts if line.split()[4].startswith(f"{path}/")]
    if below:
        message = f"{below[0]} is still mounted"
        raise ComplaintError(message, f"umount {' '.join(below)}")
    try:
        if path.exists():
            shutil.rmtree(path)
    except PermissionError as error:
        raise complain_about(error, path) from error
