"""promtool, which checks and tests Prometheus' files: the machine's own, or that of Debian's package below the state folder."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from deploy.local.complaint import ComplaintError

PACKAGE = "prometheus"


def promtool(programs: Path) -> Path:
    """Return where it is; fetched once, without root. Raises ComplaintError where Debian's package cannot be had."""
    own = shutil.which("promtool")
    if own:
        return Path(own)
    kept = programs / "promtool"
    if not kept.exists():
        _fetch(kept)
    return kept


def _fetch(kept: Path) -> None:
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        try:
            subprocess.run(
                ["apt-get", "-q", "download", PACKAGE], cwd=folder, check=True, capture_output=True
            )
            (package,) = Path(folder).glob(f"{PACKAGE}_*.deb")
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError, ValueError) as error:
            message = f"Debian's {PACKAGE} cannot be fetched: {error}"
            raise ComplaintError(message, "install promtool, or: apt-get update") from error
        Path(folder, "usr/bin/promtool").replace(kept)
