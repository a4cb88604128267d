"""The sample browser: every sample of a run as compact columns, which the page's script draws.

Long replies are cut in the middle, and pictures beyond the limit lie beside the file. The page mentions both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vlmeval_mp.core.records import Media, Prediction, Sample, Score
from vlmeval_mp.report import pictures
from vlmeval_mp.report.document import render
from vlmeval_mp.report.gather import JobView, RunView
from vlmeval_mp.report.pages import Options, Page
from vlmeval_mp.scoring.compat.vqa import SINGLE

WRONG, FAILED, TRUNCATED, UNREAD, EMPTY, DIFFER = (1 << bit for bit in range(6))
"""The bits by which the page filters."""
MOST_TEXT = 64 << 20
"""Characters of all replies together, above which each is cut to fewer."""
CUTS = (40_000, 8_000, 2_000, 500)
"""Characters of one reply at most; the first with which all replies keep within `MOST_TEXT`."""

MOVING = (("j k ↓ ↑", "next and previous sample"), ("/", "search the texts"))
KEYS = (
    *MOVING,
    ("a", "all samples"),
    ("w f", "the wrong, the failed ones"),
    ("t e", "truncated, empty replies"),
    ("u", "replies that no answer was read from"),
    ("d", "samples that the modes judge differently"),
    ("m", "the same sample of the next model"),
)

Columns = dict[str, Any]


def page(run: RunView, options: Options) -> Page:
    """Return the tab with every sample of `run`; thumbnails that find no room are written beside the page."""
    data, notes = columns_of(run.jobs)
    found = thumbnails(run.jobs, run.paths.report, options)
    notes += notes_of_pictures(found, options)
    return Page(
        title="Samples",
        html=render("samples.html", notes=notes),
        data={"samples": data, "pictures": found.sources},
        scripts=("sample.js", "samples.js"),
        keys=KEYS,
    )


def columns_of(jobs: Sequence[JobView]) -> tuple[Columns, list[str]]:
    """Return data sets and jobs as lists of columns, and what a reader must know of them."""
    sets: dict[str, dict[int, Sample]] = {}
    for view in jobs:
        sets.setdefault(view.job.dataset, {}).update((sample.row, sample) for sample in view.samples)
    names = list(sets)
    places = {name: {row: place for place, row in enumerate(sorted(rows))} for name, rows in sets.items()}
    workers = sorted({origin.worker for view in jobs for origin in view.origins if origin.worker})
    sources = sorted({p.imported_from for view in jobs for p in view.predictions if p.imported_from})
    cut = _cut([p.prediction for view in jobs for p in view.predictions])
    data = {
        "datasets": [_dataset(name, [rows[row] for row in sorted(rows)]) for name, rows in sets.items()],
        "jobs": [_job(v, names.index(v.job.dataset), places[v.job.dataset], workers, sources, cut) for v in jobs],
        "sources": sources,
        "workers": workers,
    }
    shortened = sum(len(p.prediction) > cut for view in jobs for p in view.predictions)
    notes = [f"{shortened:,} replies are cut to {cut:,} characters; whole in predictions.jsonl."] if shortened else []
    return data, notes


def _dataset(name: str, samples: Sequence[Sample]) -> Columns:
    return {
        "name": name,
        "index": [s.index for s in samples],
        "question": [s.question or _asked(s) for s in samples],
        "options": [[[letter, text] for letter, text in s.options.items()] or 0 for s in samples],
        "gold": [s.answer for s in samples],
        "hint": [s.hint for s in samples],
        "category": [s.category for s in samples],
        "l2": [s.l2_category for s in samples],
        "split": [s.split for s in samples],
        "media": [[[pictures.id_of(m), m.kind, m.error] for m in _shown(s)] or 0 for s in samples],
    }


def _asked(sample: Sample) -> str:
    """Return the words of a sample whose prompt was made when the data set was read."""
    parts = (part for message in sample.ready for part in message.parts)
    return "\n".join(text for part in parts if (text := getattr(part, "text", "")))


def _shown(sample: Sample) -> list[Media]:
    """Return the pictures and videos of a sample, those of a ready prompt included, each once."""
    ready = [getattr(part, "media", None) for message in sample.ready for part in message.parts]
    every = [*sample.media, *(media for media in ready if isinstance(media, Media))]
    return list({pictures.id_of(media): media for media in every if media.kind != "subtitles"}.values())


def _job(
    view: JobView, dataset: int, places: dict[int, int], workers: list[str], sources: list[str], cut: int
) -> Columns:
    number = {worker: place for place, worker in enumerate(workers)}
    found = view.predictions
    rows = range(len(view.samples))
    return {
        "model": view.job.model,
        "d": dataset,
        "modes": list(view.verdicts),
        "s": [places[sample.row] for sample in view.samples],
        "text": [shortened(p.prediction, cut) for p in found],
        "errors": [[row, found[row].error] for row in rows if found[row].error is not None],
        "flags": [flags_of(found[row], [scores[row] for scores in view.verdicts.values()]) for row in rows],
        "finish": [p.finish_reason for p in found],
        "prompt": [p.prompt_tokens for p in found],
        "completion": [p.completion_tokens for p in found],
        "worker": [number.get(origin.worker, -1) for origin in view.origins],
        "time": [round(origin.at) for origin in view.origins],
        "source": [sources.index(p.imported_from) + 1 if p.imported_from else 0 for p in found],
        "values": {mode: [score.value for score in scores] for mode, scores in view.verdicts.items()},
        "extracted": {mode: [score.extracted for score in scores] for mode, scores in view.verdicts.items()},
        "notes": {mode: [score.note or score.reading for score in scores] for mode, scores in view.verdicts.items()},
    }


def flags_of(prediction: Prediction, verdicts: Sequence[Score]) -> int:
    """Return the filters that a sample falls under; the first verdict is that of the run's mode.

    A reply is unread where no answer was taken out of it and it is not right anyway, or where its scorer says so. Modes
    differ only where their rules could have given the same.
    """
    if prediction.error is not None:
        return FAILED
    first = verdicts[0]
    bits = WRONG if first.value is not None and first.value < 1 else 0
    bits |= TRUNCATED if prediction.finish_reason == "length" else 0
    unread = not first.extracted and (first.value is None or first.value <= 0)
    bits |= UNREAD if unread or any(each.reading for each in verdicts) else 0
    bits |= EMPTY if not prediction.prediction.strip() else 0
    able = [each for each in verdicts if each.note != SINGLE]
    return bits | (DIFFER if any(each.value != able[0].value for each in able[1:]) else 0)


def _cut(texts: Sequence[str]) -> int:
    lengths = [len(text) for text in texts]
    within = (cut for cut in CUTS if sum(min(length, cut) for length in lengths) <= MOST_TEXT)
    return next(within, CUTS[-1])


def shortened(text: str, most: int) -> str:
    """Return `text`, or its beginning and end with a line between that says how much is left out."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}"


# --- pictures --------------------------------------------------------------------------------------------------


def thumbnails(jobs: Sequence[JobView], folder: Path, options: Options) -> pictures.Pictures:
    """Return the pictures of all samples of `jobs`; those that find no room in a page lie in `folder`/media.

    Raises:
        StorageError: a file could not be written.
    """
    if not options.pictures:
        return pictures.Pictures()
    wanted: dict[str, tuple[Media, Path]] = {}
    missing: set[str] = set()
    for view, media in _by_interest(jobs):
        place = pictures.place_of(media, view.folders)
        if place is not None:
            wanted.setdefault(pictures.id_of(media), (media, place))
        elif not media.error:
            missing.add(pictures.id_of(media))
    found = pictures.gather(wanted, folder, options.inline_bytes)
    found.missing += len(missing - wanted.keys())
    return found


def _by_interest(jobs: Sequence[JobView]) -> Iterable[tuple[JobView, Media]]:
    """Return all media, first those of samples with a wrong answer, because readers look at these."""
    wrong: list[tuple[JobView, Media]] = []
    rest: list[tuple[JobView, Media]] = []
    for view in jobs:
        first = next(iter(view.verdicts.values()))
        for sample, score in zip(view.samples, first, strict=True):
            (rest if score.value == 1 else wrong).extend((view, media) for media in _shown(sample))
    return [*wrong, *rest]


def notes_of_pictures(found: pictures.Pictures, options: Options) -> list[str]:
    """Return what a reader must know of the pictures that are not in the page."""
    if not options.pictures:
        return ["This report was made without pictures."]
    most = options.inline_bytes / (1 << 20)
    notes = []
    if found.beside:
        notes.append(
            f"{len(found.sources) - found.beside:,} pictures are inside this file (limit {most:g} MiB); the other "
            f"{found.beside:,} are in the folder {pictures.FOLDER} beside it: mail both, or raise --inline-mib."
        )
    if found.missing:
        notes.append(
            f"{found.missing:,} media files are not on the machine that made this report, or cannot be opened."
        )
    return notes
