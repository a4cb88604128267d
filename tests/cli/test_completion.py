"""The script that a shell reads completes what the command line takes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from vlmeval_mp.cli.completion import bash, commands, fish, zsh
from vlmeval_mp.cli.main import VERBS, main, parser


def complete(words: list[str], folder: Path) -> list[str]:
    script = f"""{bash(commands(parser([])))}
COMP_WORDS=({" ".join(f"'{word}'" for word in words)}); COMP_CWORD={len(words) - 1}
_vlmeval_mp; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=folder, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["vlmeval-mp", "la"], ["launch"]),
        (["vlmeval-mp", "launch", "--judge-a"], ["--judge-args", "--judge-api-nproc"]),
        (["vlmeval-mp", "status", "--w"], ["--watch"]),
        (["vlmeval-mp", "status", "ni"], ["night"]),
        (["vlmeval-mp", "launch", "conf"], ["config.json"]),
        (["vlmeval-mp", "launch", "--debu"], []),
    ],
)
def test_bash_completes_commands_flags_runs_and_files(words: list[str], found: list[str], tmp_path: Path) -> None:
    (tmp_path / "jobs" / "night").mkdir(parents=True)
    (tmp_path / "jobs" / "night" / "run.json").touch()
    (tmp_path / "config.json").touch()
    assert sorted(complete(words, tmp_path)) == sorted(found)


def test_every_command_is_completed_in_every_shell(capsys: pytest.CaptureFixture[str]) -> None:
    for shell, made in (("bash", bash), ("zsh", zsh), ("fish", fish)):
        assert main(["completion", shell]) == 0
        script = capsys.readouterr().out
        assert script == made(commands(parser([])))
        assert all(name in script for name in VERBS)
    assert os.linesep in script
