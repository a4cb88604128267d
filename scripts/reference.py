"""The reference of the docs site: every command with its flags, every config key, as the code has them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from vlmeval_mp.cli.main import VERBS, parser
from vlmeval_mp.config.entries import Config, DataEntry, ModelEntry
from vlmeval_mp.core.records import MediaLimits, Sampling

DOC = ROOT / "docs" / "reference.md"
INTRO = """\
# Reference

Made from the code by `scripts/reference --write`; a test holds it to that. `vlmeval-mp COMMAND --help` says the same.
"""
STRUCTS = (
    ("The keys of a config", Config),
    ("An entry of `model`", ModelEntry),
    ("An entry of `data`", DataEntry),
    ("`sampling`", Sampling),
    ("`media`", MediaLimits),
)


def page() -> str:
    """Return the whole page."""
    verbs = next(a for a in parser([])._actions if isinstance(a, argparse._SubParsersAction))
    helps = {action.dest: action.help or "" for action in verbs._choices_actions}
    parts = [INTRO, "## Commands\n"]
    parts += [_verb(name, helps[name], verbs.choices[name]) for name in VERBS]
    parts.append("## Config\n")
    parts += [_struct(title, kind) for title, kind in STRUCTS]
    return "\n".join(parts)


def _verb(name: str, does: str, verb: argparse.ArgumentParser) -> str:
    lines = [f"### {name}", "", f"{does[0].upper()}{does[1:]}.", ""]
    rows = [row for action in verb._actions if (row := _flag(verb, action))]
    if rows:
        lines += ["| flag | what it does |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _flag(verb: argparse.ArgumentParser, action: argparse.Action) -> str:
    if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
        return ""
    shown = [str(action.metavar)] if action.metavar else [str(choice) for choice in action.choices or ()]
    value = "" if action.nargs == 0 else " " + " or ".join(shown or [action.dest.upper()])
    many = "…" if action.nargs in ("*", "+") else ""
    names = ", ".join(action.option_strings) + value + many if action.option_strings else f"{value.strip()}{many}"
    told = verb._get_formatter()._expand_help(action) if action.help else ""
    return f"| `{_cell(names)}` | {_cell(told)} |"


def _struct(title: str, kind: type[msgspec.Struct]) -> str:
    lines = [f"### {title}", "", "| key | value | default |", "|---|---|---|"]
    lines += [f"| `{f.encode_name}` | {_cell(_type(f.type))} | {_default(f)} |" for f in msgspec.structs.fields(kind)]
    return "\n".join([*lines, ""])


def _type(kind: Any) -> str:
    """What a value must be, in the words in which a wrong one is refused."""
    found = msgspec.inspect.type_info(kind)
    return " or ".join(dict.fromkeys(_words(found)))


def _words(info: Any) -> list[str]:
    if isinstance(info, msgspec.inspect.Metadata):
        told = (info.extra_json_schema or {}).get("description")
        return [str(told)] if told else _words(info.type)
    if isinstance(info, msgspec.inspect.UnionType):
        return [word for each in info.types if not isinstance(each, msgspec.inspect.NoneType) for word in _words(each)]
    if isinstance(info, msgspec.inspect.LiteralType):
        return [f"`{value}`" if value else "nothing" for value in info.values]
    if isinstance(info, msgspec.inspect.StructType):
        return ["an object, see below"]
    return [type(info).__name__.removesuffix("Type").lower()]


def _default(field: Any) -> str:
    value = field.default
    if value is msgspec.NODEFAULT:
        value = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else None
    if value in (None, "", {}, ()) or isinstance(value, msgspec.Struct):
        return ""
    return f"`{msgspec.json.encode(value).decode()}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def main() -> int:
    text = page()
    if sys.argv[1:] == ["--write"]:
        DOC.write_text(text, encoding="utf-8")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
