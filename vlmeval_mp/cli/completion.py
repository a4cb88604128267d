"""`completion`: prints a script that completes commands, flags, runs and files in bash, zsh and fish.

Made from the parsers each time, so it knows what this version takes. Names of runs are those under `jobs`.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from vlmeval_mp.core.errors import EXIT_COMPLETE

if TYPE_CHECKING:
    from vlmeval_mp.cli import flags

EXAMPLES = """\
  bash: eval "$(vlmeval-mp completion bash)"                        in ~/.bashrc
  zsh:  eval "$(vlmeval-mp completion zsh)"                         in ~/.zshrc, after compinit
  fish: vlmeval-mp completion fish > ~/.config/fish/completions/vlmeval-mp.fish
"""
RUNS = 'for f in jobs/*/run.json; do [ -e "$f" ] && f=${f%/run.json} && echo "${f##*/}"; done'
"""Prints the names of runs, in any shell of the Bourne family."""


def add_parser(verbs: flags.Verbs) -> None:
    from vlmeval_mp.cli import flags

    verb = flags.verb(
        verbs, "completion", "print a script that completes commands, flags and runs in a shell", EXAMPLES
    )
    verb.add_argument("shell", choices=[*_SHELLS], help="whose script")


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from vlmeval_mp.cli.main import parser

    print(_SHELLS[arguments.shell](commands(parser([]))), end="")
    return EXIT_COMPLETE


def commands(top: flags.Parser) -> dict[str, tuple[str, ...]]:
    """Return the flags of each command, hidden ones left out."""
    found = {}
    for name, verb in top.verbs().items():
        shown = [action for action in verb._actions if action.help != argparse.SUPPRESS]
        found[name] = tuple(option for action in shown for option in action.option_strings if option[:2] == "--")
    return found


def bash(known: Mapping[str, Iterable[str]]) -> str:
    """Return the script for bash; what is neither command nor flag is a run or a file."""
    cases = "\n".join(f"    {name}) flags={shlex.quote(' '.join(options))} ;;" for name, options in known.items())
    return f"""\
_vlmeval_mp() {{
  local flags="" word="${{COMP_WORDS[COMP_CWORD]}}"
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W {shlex.quote(" ".join(known))} -- "$word"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  if [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
  else
    COMPREPLY=($(compgen -W "$({RUNS})" -- "$word") $(compgen -f -- "$word"))
  fi
}}
complete -o filenames -F _vlmeval_mp vlmeval-mp
"""


def zsh(known: Mapping[str, Iterable[str]]) -> str:
    """Return the script for zsh, which takes bash's."""
    return f"autoload -U +X bashcompinit && bashcompinit\n{bash(known)}"


def fish(known: Mapping[str, Iterable[str]]) -> str:
    """Return the script for fish."""
    lines = [f"complete -c vlmeval-mp -n __fish_use_subcommand -f -a {shlex.quote(' '.join(known))}"]
    for name, options in known.items():
        seen = f"-n {shlex.quote(f'__fish_seen_subcommand_from {name}')}"
        lines += [f"complete -c vlmeval-mp {seen} -l {option[2:]}" for option in options]
    runs = "(for f in jobs/*/run.json; basename (dirname $f); end)"
    lines.append(f"complete -c vlmeval-mp -n 'not __fish_use_subcommand' -a {shlex.quote(runs)}")
    return "\n".join(lines) + "\n"


_SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}
