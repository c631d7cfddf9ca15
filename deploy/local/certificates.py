"""Certificates for the local parts and their tests, by openssl: an authority of this state folder's own.

    python3 -m deploy.local.certificates issue 91510100SYN0000001 --out FOLDER    a unit's, to prove itself
    python3 -m deploy.local.certificates revoke FOLDER/91510100SYN0000001.pem
    python3 -m deploy.local renew --only mqtt    tells Mosquitto, and gives it a new certificate

Elsewhere the operator's own authority does the same; what counts is in RUNBOOK.md.
"""

import argparse
import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.complaint import ComplaintError
from deploy.local.ports import LOOPBACK
from deploy.local.private_root import PrivateRoot, find_tool
from deploy.local.state import State, chosen_folder, chosen_programs, write_whole

AUTHORITY_DAYS = 3_650
DAYS = 397

_SETTINGS = """\
[ca]
default_ca = weir
[weir]
database = {folder}/revoked.txt
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
default_crl_days = 3650
unique_subject = no
[req]
distinguished_name = name
[name]
"""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, as PEM."""

    certificate: str
    key: str


class Authority:
    """Signs for one state folder; who trusts `certificate` trusts what it signed and did not revoke."""

    def __init__(self, state: State, root: PrivateRoot) -> None:
        self._root = root
        self._folder = state.folder / "certificates"
        self.certificate = self._folder / "ca.pem"

    def server(self) -> Issued:
        """For a server of the loopback."""
        return self._issue(
            "localhost", f"subjectAltName=DNS:localhost,IP:{LOOPBACK}", "serverAuth", DAYS
        )

    def client(self, name: str, *, days: int = DAYS) -> Issued:
        """For who is to prove that it is `name`."""
        return self._issue(name, f"subjectAltName=DNS:{name}", "clientAuth", days)

    def revoke(self, certificate: Path) -> None:
        """Trust it no longer; who reads `revoked()` again knows."""
        self._provide()
        self._openssl(
            "ca", "-config", str(self._folder / "openssl.cnf"), "-revoke", str(certificate)
        )

    def revoked(self) -> str:
        """The list of what is revoked, as PEM."""
        self._provide()
        return self._openssl("ca", "-config", str(self._folder / "openssl.cnf"), "-gencrl")

    def _issue(self, name: str, names: str, use: str, days: int) -> Issued:
        self._provide()
        key = self._openssl(*_NEW_KEY)
        signed = self._openssl(
            *("req", "-x509", "-config", str(self._folder / "openssl.cnf"), "-key", "/dev/stdin"),
            *("-CA", str(self.certificate), "-CAkey", str(self._folder / "ca.key")),
            *("-days", str(days), "-subj", f"/CN={name}", "-addext", names),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-addext", f"extendedKeyUsage={use}"),
            given=key,
        )
        return Issued(signed, key)

    def _provide(self) -> None:
        """Make the authority the first time: one of the parts that start together does."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.certificate.exists():
                self._begin()

    def _begin(self) -> None:
        write_whole(self._folder / "openssl.cnf", _SETTINGS.format(folder=self._folder))
        key = self._openssl(*_NEW_KEY)
        write_secret(self._folder / "ca.key", key)
        (self._folder / "revoked.txt").touch()
        signed = self._openssl(
            *("req", "-x509", "-config", str(self._folder / "openssl.cnf"), "-key", "/dev/stdin"),
            *("-days", str(AUTHORITY_DAYS), "-subj", "/CN=Weir local authority"),
            *("-addext", "basicConstraints=critical,CA:TRUE"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            given=key,
        )
        write_whole(self.certificate, signed)

    def _openssl(self, *arguments: str, given: str = "") -> str:
        done = subprocess.run(
            self._command(arguments),
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            message = f"openssl {arguments[0]} failed: {done.stderr.strip()[-300:]}"
            raise ComplaintError(message, f"remove {self._folder} and begin anew")
        return done.stdout

    def _command(self, arguments: Sequence[str]) -> list[str]:
        """The machine's own, or the private root's."""
        found = find_tool("openssl")
        if found is not None:
            return [found, *arguments]
        return self._root.command(["/usr/bin/openssl", *arguments], as_caller=True)


_NEW_KEY = ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


def write_secret(path: Path, text: str) -> None:
    """Write a file that its owner alone may read."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)


def main(words: Sequence[str]) -> int:
    """Do one verb."""
    parser = argparse.ArgumentParser(
        prog="python3 -m deploy.local.certificates", description=__doc__
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    issue = verbs.add_parser("issue", help="a certificate by which a unit proves itself")
    issue.add_argument("name", help="the unit's code")
    issue.add_argument("--out", type=Path, required=True, help="folder for NAME.pem and NAME.key")
    issue.add_argument("--days", type=int, default=DAYS, help=f"valid for so long ({DAYS})")
    revoke = verbs.add_parser(
        "revoke", help="trust one no longer, once `deploy.local renew` told Mosquitto"
    )
    revoke.add_argument("certificate", type=Path)
    chosen = parser.parse_args(words)
    folder = chosen_folder()
    state = State(folder, chosen_programs(folder))
    authority = Authority(state, PrivateRoot(state))
    try:
        if chosen.verb == "revoke":
            authority.revoke(chosen.certificate)
        else:
            issued = authority.client(chosen.name, days=chosen.days)
            chosen.out.mkdir(parents=True, exist_ok=True)
            write_secret(chosen.out / f"{chosen.name}.key", issued.key)
            write_whole(chosen.out / f"{chosen.name}.pem", issued.certificate)
    except (OSError, ComplaintError) as error:
        print(f"certificates: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
