"""The shell completes verbs and options of the three commands, those too that are loaded when they are named."""

import os
import subprocess
import sys

import pytest

from deploy.local.state import CHECKOUT

ASK = """
source <({python} -m {module} --completion bash)
COMP_WORDS=({command} {words} '{begun}'); COMP_CWORD={place}; COMP_TYPE=9; COMP_LINE="${{COMP_WORDS[*]}}"; COMP_POINT=${{#COMP_LINE}}
function=$(complete -p {command} | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$function {command} '{begun}' ''
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("module", "words", "begun", "wanted"),
    [
        ("ingest", "import", "--pro", ["--progress"]),
        ("processors", "feedback", "--new", ["--new-key"]),
        ("alerts", "", "backt", ["backtest"]),
    ],
)
def test_what_is_begun_is_completed(module: str, words: str, begun: str, wanted: list[str]) -> None:
    """By a real bash."""
    place = 1 + len(words.split())
    asked = ASK.format(
        python=sys.executable,
        module=module,
        command=f"weir-{module}",
        words=words,
        begun=begun,
        place=place,
    )
    done = subprocess.run(
        ["/bin/bash", "-c", asked],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == wanted, done.stderr
