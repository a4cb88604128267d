"""`export`: writes a run's tables as files that other programs open, or the whole run as one file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vlmeval_mp.cli import flags
from vlmeval_mp.cli.wanted import jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE, ConfigError, StorageError
from vlmeval_mp.core.paths import RunPaths

EXAMPLES = """\
examples:
  vlmeval-mp export demo --format markdown         the matrix of models and data sets, on the terminal
  vlmeval-mp export demo --format csv --table samples --out answers.csv
  vlmeval-mp export demo --format xlsx             all tables, in the run's report folder
  vlmeval-mp export demo --bundle demo.zip         the whole run with its media, for `open` and `verify` elsewhere
"""
FORMATS = ("csv", "tsv", "markdown", "latex", "parquet", "xlsx", "wandb-offline")
TABLES = ("results", "matrix", "samples")


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "export", "a run's tables as csv, markdown, LaTeX, parquet, xlsx or for wandb", EXAMPLES)
    flags.run_name(verb)
    verb.add_argument("--format", choices=FORMATS, metavar="F", help=", ".join(FORMATS))
    which = "results: a row per metric; matrix: models × data sets; samples: a row per answer (default: by format)"
    verb.add_argument("--table", choices=TABLES, help=which)
    verb.add_argument("--out", type=Path, metavar="FILE", help="where to (default: text on the terminal, else report/)")
    whole = "the whole run as one file with a digest, instead of a table"
    verb.add_argument("--bundle", type=Path, metavar="FILE", help=whole)
    verb.add_argument("--no-media", action="store_true", help="a bundle without pictures and videos")
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Write what is asked for, and say where it is unless it is on the terminal."""
    from vlmeval_mp.runs import find

    paths = find.chosen(jobs_of(arguments), arguments.run)
    if arguments.bundle is not None:
        return _bundle(paths, arguments)
    if arguments.format is None:
        raise ConfigError(f"say what to export: --format {'|'.join(FORMATS)}, or --bundle FILE")
    if arguments.format == "wandb-offline":
        return _wandb(paths, arguments)
    return _table(paths, arguments)


def _table(paths: RunPaths, arguments: argparse.Namespace) -> int:
    from vlmeval_mp.report import export
    from vlmeval_mp.report.gather import run_view
    from vlmeval_mp.runs.overview import size_text

    form = export.FORMATS[arguments.format]
    data = export.encode(run_view(paths), arguments.format, arguments.table or "")
    if form.text and arguments.out is None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return EXIT_COMPLETE
    place = arguments.out or paths.report / f"{paths.root.name}-{arguments.table or 'export'}.{form.ending}"
    _write(place, data)
    print(f"{place}  {size_text(len(data))}")
    return EXIT_COMPLETE


def _bundle(paths: RunPaths, arguments: argparse.Namespace) -> int:
    from vlmeval_mp.report import bundle
    from vlmeval_mp.runs import ending
    from vlmeval_mp.runs.overview import size_text

    if arguments.format or arguments.table or arguments.out:
        raise ConfigError("--bundle FILE is the whole run; leave --format, --table and --out away")
    ending.refuse_supervised(paths)
    found = bundle.write(paths, arguments.bundle, media=not arguments.no_media)
    print(f"{found.file}  {size_text(found.size)}\ndigest {found.digest}")
    if found.missing:
        print(f"warning: {found.missing:,} media files were not found and are not in it", file=sys.stderr)
    return EXIT_COMPLETE


def _write(place: Path, data: bytes) -> None:
    from vlmeval_mp.core import files

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create {place.parent}: {error.strerror or error}") from error
    files.atomic_write(place, data, durable=False)


def _wandb(paths: RunPaths, arguments: argparse.Namespace) -> int:
    from vlmeval_mp.report import wandb
    from vlmeval_mp.report.gather import run_view

    if arguments.table:
        raise ConfigError("--table does not go with wandb-offline, which holds results and samples")
    place = wandb.write(run_view(paths), arguments.out or paths.report)
    print(f"{place}  send it with: wandb sync {place}")
    return EXIT_COMPLETE
