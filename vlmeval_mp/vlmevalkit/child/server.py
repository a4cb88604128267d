"""Serves one request as a process of VLMEvalKit's interpreter: a request on stdin, JSON lines on stdout.

    {"do": "version"}                      nothing more
    {"do": "names"}                        {"end": {"names": {name: [class, TYPE, MODALITY, address]}}}
    {"do": "prompts", "dataset", "media"}  a line per row, then {"end": …}
    {"do": "evaluate", "dataset", "scratch", "model", "predictions", "judge", "judge_args"}  {"end": …}

Every answer begins with {"version": …} and may end with {"error": {"kind", "message"}} instead. What libraries print
goes to stderr. Stdin stays open while somebody waits for the answer: when it closes, this process group ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import evaluating
import guard
import judging
import light_import
import official
import replacements

sys.path.pop(0)  # this folder's names must not stand before those of the evaluators

Json = dict[str, Any]


class Server:
    """One request."""

    def __init__(self, request: Json, folder: Path) -> None:
        self.request, self.folder = request, folder
        self.judge = str(request.get("judge", ""))
        self.named = self.judge not in judging.BY_RULES
        self.notes = judging.Notes(Path(request.get("scratch", ".")) / ".judge")
        guard.allow_only(guard.judge_hosts(request.get("judge_args", {})) if self.named else ())
        guard.hide_secrets()
        self.dataset: Any = light_import.import_dataset(folder, judging.api_module(folder, self.notes, self.judge))

    def names(self) -> None:
        say({"end": {"names": official.names(self.dataset)}})

    def prompts(self) -> None:
        built = official.build(self.dataset, self.request["dataset"])
        for row in official.prompts(built, Path(self.request["media"])):
            say(row)
        kind = str(getattr(built, "TYPE", "")).strip()
        say({"end": {"class": type(built).__name__, "type": kind, "warnings": replacements.WARNINGS}})

    def evaluate(self) -> None:
        request = self.request
        arguments = request.get("judge_args", {})
        if self.named and (why := judging.reachable(self.judge, arguments)):
            say(error("needs_judge", f"the judge {self.judge} cannot be reached ({why})"))
            return
        built = official.build(self.dataset, request["dataset"])
        predictions = json.loads(Path(request["predictions"]).read_text(encoding="utf-8"))
        found, fault, file = self._run(built, predictions, arguments)
        kind, type_ = type(built).__name__, str(getattr(built, "TYPE", "")).strip()
        if why := judging.missed(kind, type_, self.judge, self.notes, fault):
            say(error("needs_judge", why))
            return
        if fault is not None:
            raise fault
        metrics, primary = evaluating.metrics(built, found)
        if not metrics:
            raise ValueError(f"{kind}.evaluate gave no number: {str(found)[:200]}")
        values, source = evaluating.verdicts(file.parent, file, set(predictions))
        say({"end": {
            "metrics": metrics, "primary": primary, "verdicts": values, "verdicts_from": source, "class": kind,
            "judge_failed": self.notes.count("failed"), "exact": bool(self.notes.count("exact")),
            "warnings": replacements.WARNINGS,
        }})  # fmt: skip

    def _run(self, built: Any, predictions: dict[str, str], arguments: Json) -> tuple[Any, Exception | None, Path]:
        """Return what the evaluator gives or raises, and its prediction file: a TSV, or an xlsx if it insists."""
        from vlmeval.smp import dump

        request, scratch = self.request, Path(self.request["scratch"])
        judge = self.judge if self.named else judging.exact_matching(self.notes)
        os.chdir(scratch)
        for form in ("tsv", "xlsx"):
            os.environ["PRED_FORMAT"] = form
            file = scratch / f"{request['model']}_{request['dataset']}.{form}"
            evaluating.table(built, predictions, file, dump)
            try:
                return evaluating.run(built, file, judge, arguments), None, file
            except Exception as fault:
                traceback.print_exc()
                if form == "xlsx" or not evaluating.wants_xlsx(fault):
                    return None, fault, file
        raise AssertionError


def say(value: Json) -> None:
    """Write one line to the process that asked."""
    OUT.write(json.dumps(value) + "\n")
    OUT.flush()


def error(kind: str, message: str) -> Json:
    return {"error": {"kind": kind, "message": guard.hidden(message, guard.secrets())}}


def serve(line: str) -> None:
    folder = light_import.package_folder()
    if folder is None:
        say(error("missing", f"{sys.executable} has no package 'vlmeval'"))
        return
    say({"version": light_import.version(folder)})
    request = json.loads(line)
    if request["do"] == "version":
        return
    try:
        server = Server(request, folder)
    except ImportError as fault:
        traceback.print_exc()
        say(error("missing", f"vlmeval in {folder} cannot be imported: {fault}"))
        return
    try:
        {"names": server.names, "prompts": server.prompts, "evaluate": server.evaluate}[request["do"]]()
    except (replacements.NotLocalError, official.UnsupportedError) as fault:
        say(error("not_local" if isinstance(fault, replacements.NotLocalError) else "unsupported", str(fault)))
    except Exception as fault:
        traceback.print_exc()
        say(_error(fault))


def _error(fault: Exception) -> Json:
    """Return what a fault of VLMEvalKit's code means to the user."""
    package = (getattr(fault, "name", None) or "").partition(".")[0]
    if isinstance(fault, light_import.MissingPackageError):
        return error("package", str(fault))
    if isinstance(fault, ModuleNotFoundError) and package not in ("", "vlmeval"):
        return error("package", f"VLMEvalKit's code for it needs the package {package!r}: install it and try again")
    chain: BaseException | None = fault
    while chain is not None:
        if isinstance(chain, guard.NoNetworkError) or type(chain).__name__ in guard.OFFLINE:
            words = (str(chain).splitlines() or [""])[0]
            return error("not_local", f"VLMEvalKit fetches its files by itself, and they are not here ({words})")
        chain = chain.__cause__ or chain.__context__
    return error("failed", f"{type(fault).__name__}: {str(fault) or _line(fault)}")


def _line(fault: Exception) -> str:
    """Return where a fault without words of its own was raised."""
    last = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{last.line} ({Path(last.filename).name}, line {last.lineno})"


def end_with_the_caller() -> None:
    """Once stdin closes, nobody waits for the answer: end this process and every process it started."""
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    OUT = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asked = sys.stdin.buffer.readline().decode()
    threading.Thread(target=end_with_the_caller, daemon=True).start()
    try:
        serve(asked)
    except BaseException:
        traceback.print_exc()
    OUT.close()
    sys.stdout.flush()
    os._exit(0)  # an evaluator's leftover threads must not keep this process alive
