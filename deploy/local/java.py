"""Java and Maven: the machine's own where they serve, else those of the private root."""

import os
import re
import shutil
import subprocess
from pathlib import Path

OLDEST = 17
"""What a Kafka 4 broker runs on."""


def machine_java() -> str | None:
    """Return the machine's Java if it is new enough."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin"))) if home else None
    java = java or shutil.which("java")
    return java if java and _major(java) >= OLDEST else None


def machine_maven() -> str | None:
    """Return the machine's Maven if it runs (it may be there without a Java)."""
    maven = shutil.which("mvn")
    return maven if maven and _output(maven, "--version") else None


def _major(java: str) -> int:
    found = re.search(r'version "(\d+)', _output(java, "-version"))
    return int(found[1]) if found else 0


def _output(program: str, argument: str) -> str:
    try:
        done = subprocess.run(
            [program, argument],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""
