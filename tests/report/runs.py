"""Finished runs for the tests of reports: on the fake engine, with pictures and replies of the test's choosing."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tests.builders import worker_for
from vlmeval_mp.config.build import Overrides, build
from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.runs import results, snapshot, submit
from vlmeval_mp.runs.merge import merge

HOSTILE = "</script><script>window.pwned = 1</script><!-- <img src=x onerror='window.pwned = 2'> <svg onload=pwned()>"


def png(colour: tuple[int, int, int] = (200, 30, 30), side: int = 40) -> str:
    """A picture as a TSV holds it."""
    out = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def choice_tsv(path: Path, samples: int, *, pictures: Sequence[str] = (), question: str = "Is {} even?") -> Path:
    """A choice benchmark in three categories by turns; even rows are right with A, odd ones with B."""
    columns = ["index", *(["image"] if pictures else []), "question", "A", "B", "answer", "category"]
    lines = ["\t".join(columns)]
    for i in range(samples):
        picture = [pictures[i % len(pictures)]] if pictures else []
        asked = question.format(i).replace("\t", " ").replace("\n", " ")
        lines.append("\t".join([str(i), *picture, asked, "yes", "no", "AB"[i % 2], f"part {i % 3}"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def spec_of(tsvs: Sequence[Path], models: Mapping[str, Mapping[str, Any]], name: str) -> Any:
    """A run on the fake engine; `models` maps a name to the engine's arguments."""
    config = {"model": {model: {"engine": "fake", "engine_args": dict(args)} for model, args in models.items()}}
    flags = Overrides(models=(), data=tuple(map(str, tsvs)), engine=None, engine_args={})
    return build(config, flags, name=name, default_engine="fake")


async def finished_run(
    folder: Path, tsvs: Sequence[Path], models: Mapping[str, Mapping[str, Any]], name: str = "run"
) -> RunPaths:
    """A run all of whose samples are answered and scored."""
    paths, record, _ = submit.submit(spec_of(tsvs, models, name), JobsPaths(folder / "jobs"))
    for place, model in enumerate(record.spec.models):
        one = snapshot.read_record(paths)
        await live(worker_for_model(paths, one, place, model.name))
    for job in record.jobs:
        samples, predictions = merge(paths, job)
        rules = results.rules_of(record.spec, job)
        results.write(paths.results(job.model, job.dataset), job.model, job.dataset, samples, predictions, rules)
    return paths


def worker_for_model(paths: RunPaths, record: Any, place: int, model: str) -> Any:
    import msgspec

    ordered = sorted(record.spec.models, key=lambda each: each.name != model)
    spec = msgspec.structs.replace(record.spec, models=tuple(ordered))
    return worker_for(paths, msgspec.structs.replace(record, spec=spec), name=f"w{place}")


def replies(samples: int, wrong: Sequence[int] = (), **others: str) -> dict[str, str]:
    """What the fake engine answers: right, but for the rows in `wrong`; `others` by "r<index>"."""
    right = {str(i): f"The answer is {'AB'[(i + (i in wrong)) % 2]}." for i in range(samples)}
    return right | {key.removeprefix("r"): text for key, text in others.items()}
