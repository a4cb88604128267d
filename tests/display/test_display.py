"""What is drawn, that it fits, and that nothing hostile or broken gets through it."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from vlmeval_mp import display
from vlmeval_mp.core.records import Counts, Event, GpuStats, Job, Notice, OtherMode, Prediction, Summary
from vlmeval_mp.display.drawing import Bar, spark
from vlmeval_mp.display.plaintable import plain_table
from vlmeval_mp.display.screens import JsonLines, Live, Plain, progress_line
from vlmeval_mp.display.tables import results_table, results_text
from vlmeval_mp.display.text import fraction, rate, safe, size
from vlmeval_mp.runs.state import JobState, RunState, WorkerState
from vlmeval_mp.runs.words import duration

GIB = 2**30
HOSTILE = "a[/foo][bold]b\x1b]52;c;aGk=\x07\x9b31m\u202egnp\r\nrow2\ud800"
HARMLESS = "a[/foo][bold]b]52;c;aGk=31mgnp  row2"


def job(name: str = "DigitsMCQ", **fields: Any) -> JobState:
    known: dict[str, Any] = {"model": "digits", "dataset": name, "total": 420, "done": 301, "failed": 0, "score": 0.962}
    shards = {"shards_pending": 1, "shards_claimed": 1, "shards_done": 1, "shards_failed": 0, "finished": False}
    return JobState(**{"name": name, **known, **shards, **fields})


def worker(name: str = "w0", *, gpu: bool = True, **fields: Any) -> WorkerState:
    stats = GpuStats(uuid="GPU-1", index=0, name="H200", memory_used=61 * GIB, memory_total=141 * GIB, utilization=93)
    known: dict[str, Any] = {
        "pid": 1,
        "devices": "GPU 0" if gpu else "cores 0-3",
        "model": "digits",
        "job": "DigitsMCQ",
    }
    known |= {
        "phase": "working",
        "answered": 1234,
        "failed": 0,
        "in_flight": 64,
        "window": 64,
        "rate": 93.1,
        "age": 0.4,
    }
    known |= {"silent": False, "gpus": (stats,) if gpu else (), "message": ""}
    return WorkerState(**{"worker": name, **known, **fields})


def run(**fields: Any) -> RunState:
    known: dict[str, Any] = {"run": "demo", "folder": "/jobs/demo", "phase": "working", "running": True, "total": 1260}
    known |= {"done": 512, "failed": 3, "rate": 186.3, "eta": 65.0, "elapsed": 134.0}
    known |= {"jobs": (job(), job("DigitsVQA", done=0, score=None)), "workers": (worker(), worker("w1"))}
    known |= {"events": (Event(time=0.0, text="w0 started"),)}
    return RunState(**{**known, **fields})


def drawn(state: RunState, width: int, height: int | None = None) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(display.render(state, width, height))
    return stream.getvalue().splitlines()


WIDTHS = [40, 80, 100, 120, 160, 250]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("gpu", [True, False])
def test_no_line_is_wider_than_the_screen_and_no_row_wraps(width: int, gpu: bool) -> None:
    long = "A_very_long_name_" * 20
    state = run(
        run=long,
        jobs=(job(long, model=long), job("狗" * 200, model="other", total=10**9, done=10**8)),
        workers=(worker(long, gpu=gpu, devices=long, job=long), worker("w1", gpu=gpu, phase="failed", message=long)),
        events=(Event(time=0.0, text=long),),
    )
    lines = drawn(state, width)
    assert max(cell_len(line) for line in lines) <= width
    assert len(lines) == 2 + (1 + 1 + 2) * 2 + 2


def test_a_long_name_of_a_run_gives_way_to_what_the_run_is_doing() -> None:
    header = drawn(run(run="Qwen2-VL-2B-Instruct-" * 8), 80)[0]
    for shown in ("Qwen2-VL-2B-Instruct-", "…", "working", "2m 14s", "512/1,260", "40%"):
        assert shown in header


@pytest.mark.parametrize("width", [80, 160])
def test_the_screen_shows_the_numbers_of_the_state(width: int) -> None:
    text = "\n".join(drawn(run(), width))
    for shown in ("demo", "working", "2m 14s", "512/1,260", "40%", "186.3/s", "eta 1m 05s", "failed 3"):
        assert shown in text
    for shown in ("w0", "GPU 0", "61", "141", "93%", "93.1/s", *(("1,234", "64/64") if width > 80 else ())):
        assert shown in text
    for shown in ("DigitsMCQ", "301/420", "96.2", "DigitsVQA", "0/420", "w0 started"):
        assert shown in text


def test_columns_stand_still_while_values_change() -> None:
    before = drawn(run(), 80)
    after = drawn(
        run(
            done=1259,
            rate=9.9,
            eta=3600.0,
            workers=(worker(answered=7, rate=0.2, age=120.0), worker("w1", phase="loading")),
            jobs=(job(done=419, score=1.0, failed=12), job("DigitsVQA")),
        ),
        80,
    )
    heads = [line for line in before if line.startswith(("worker", "job"))]
    assert heads
    assert [line for line in after if line.startswith(("worker", "job"))] == heads
    assert before[3].index("GPU 0") == after[3].index("GPU 0") if "GPU 0" in before[3] else True


def test_a_worker_row_says_what_is_wrong_with_the_worker() -> None:
    text = "\n".join(drawn(run(workers=(worker(phase="failed", message="process is gone"),)), 160))
    assert "failed" in text
    assert "process is gone" in text


def test_a_finished_run_says_so_and_promises_nothing_more() -> None:
    done = run(phase="finished", running=False, done=1260, rate=0.0, eta=None, jobs=(job(finished=True, done=420),))
    header = "\n".join(drawn(done, 80)[:2])
    assert "finished" in header
    assert "100%" in header
    assert "eta" not in header
    assert "/s" not in header


def test_a_worker_names_its_job_by_data_set_where_there_is_one_model() -> None:
    one = job("digits+DigitsMCQ", dataset="DigitsMCQ")
    state = run(jobs=(one,), workers=(worker(job="digits+DigitsMCQ"),))
    assert "digits+" not in "\n".join(drawn(state, 160))
    other = job("llava+DigitsMCQ", dataset="DigitsMCQ", model="llava")
    assert "digits+DigitsMCQ" in "\n".join(drawn(msgspec.structs.replace(state, jobs=(one, other)), 160))


def test_machines_without_gpu_have_no_gpu_columns() -> None:
    heading = next(line for line in drawn(run(workers=(worker(gpu=False),)), 80) if line.startswith("worker"))
    assert "memory" not in heading
    assert "util" not in heading


def test_several_models_are_told_apart() -> None:
    text = "\n".join(drawn(run(jobs=(job(model="qwen"), job(model="llava"))), 80))
    assert "qwen" in text
    assert "llava" in text


@pytest.mark.parametrize("height", [1, 3, 5, 10, 24])
def test_a_low_screen_is_never_overfilled_and_hidden_rows_are_counted(height: int) -> None:
    state = run(
        jobs=tuple(job(f"d{i}", finished=i < 20) for i in range(40)), workers=tuple(worker(f"w{i}") for i in range(16))
    )
    lines = drawn(state, 80, height)
    assert len(lines) <= height
    if height == 24:
        assert "… 2 more" not in lines
        assert any("more" in line for line in lines)


def test_jobs_at_work_are_shown_before_finished_ones() -> None:
    jobs = (*(job(f"old{i}", finished=True) for i in range(30)), job("now"))
    text = "\n".join(drawn(run(jobs=jobs, workers=(), events=()), 80, 12))
    assert "now" in text
    assert "more jobs" in text


def test_safe_removes_what_a_terminal_would_obey() -> None:
    assert safe(HOSTILE) == HARMLESS
    assert safe("é 狗 🐶\tx\ny") == "é 狗 🐶 x y"


@given(st.text(alphabet=st.characters(codec=None)))
@settings(max_examples=300, deadline=None)
def test_safe_text_never_holds_a_control_character(text: str) -> None:
    shown = safe(text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    shown.encode()


def hostile_state() -> RunState:
    return run(
        run=HOSTILE,
        jobs=(job(HOSTILE, model=HOSTILE),),
        workers=(worker(HOSTILE, devices=HOSTILE, job=HOSTILE), worker("w1", phase="failed", message=HOSTILE)),
        events=(Event(time=0.0, text=HOSTILE, level="error"),),
    )


def test_hostile_names_reach_the_screen_as_plain_text() -> None:
    text = "\n".join(drawn(hostile_state(), 250))
    assert "[/foo][bold]b]52;c" in text
    for bad in ("\x1b", "\x9b", "\u202e", "\r", "\x07"):
        assert bad not in text


def test_hostile_names_reach_plain_lines_json_and_tables_harmlessly() -> None:
    stream = io.StringIO()
    with display.screen("plain", stream) as plain:
        plain.update(hostile_state())
        plain.line(HOSTILE)
    stream.write(results_text([(summary(HOSTILE, model=HOSTILE), 1.0)], Path("/x")))
    console = Console(file=stream, width=200, color_system=None)
    console.print(results_table([(summary(HOSTILE), 1.0), (summary("b", model=HOSTILE), None)], Path("/x")))
    for bad in ("\x1b", "\x9b", "\u202e", "\r", "\x07"):
        assert bad not in stream.getvalue()
    assert HARMLESS in stream.getvalue()


ASKED = Job(name="m+d", model="m", dataset="d", folder="d", samples=1)


def test_an_answer_is_one_plain_line_one_json_object_and_nothing_on_a_live_picture() -> None:
    hostile = Prediction(index="7", row=0, prediction=HOSTILE.rstrip("\ud800"))
    plain, lines, live = io.StringIO(), io.StringIO(), io.StringIO()
    Plain(plain).answer(ASKED, hostile)
    JsonLines(lines).answer(ASKED, hostile)
    Live(live).answer(ASKED, hostile)
    assert plain.getvalue().endswith(f" m+d 7: {HARMLESS}\n")
    (event,) = map(json.loads, lines.getvalue().splitlines())
    assert (event["event"], event["dataset"], event["prediction"]) == ("answer", "d", hostile.prediction)
    assert live.getvalue() == ""


def test_a_failed_answer_says_why() -> None:
    stream = io.StringIO()
    Plain(stream).answer(ASKED, Prediction(index="7", row=0, error="too long"))
    assert stream.getvalue().endswith(" m+d 7: failed: too long\n")


def test_answers_without_scores_are_shown_with_the_way_to_score_them() -> None:
    jobs = [display.Answers(HOSTILE, "d", 1000, 990, 10, 12.5)]
    text, lines = io.StringIO(), io.StringIO()
    display.show_answers(jobs, Path("/x/r"), text, as_json=False, code=1)
    display.show_answers([display.Answers("m", "d", 1000, 990, 10, None)], Path("/x/r"), lines, as_json=True, code=1)
    assert HARMLESS in text.getvalue()
    assert "1,000       990      10       12.5" in text.getvalue()
    assert "answers without scores in /x/r/results; score them with: vlmeval-mp eval /x/r" in text.getvalue()
    record = json.loads(lines.getvalue())
    assert (record["scored"], record["exit_code"], record["results"][0]["answered"]) == (False, 1, 990)


def test_no_color_is_honoured_and_colours_are_the_terminals_own_sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    def ansi(**settings: Any) -> str:
        stream = io.StringIO()
        Console(file=stream, width=80, force_terminal=True, **settings).print(display.render(run(), 80))
        return stream.getvalue()

    assert "38;5" not in ansi(color_system="truecolor")
    assert "38;2" not in ansi(color_system="truecolor")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", ansi())


def test_the_svg_holds_the_picture_and_fetches_nothing() -> None:
    picture = display.svg(run(), 120)
    assert picture.lstrip().startswith("<svg")
    assert "DigitsMCQ" in picture
    assert "<script" not in picture
    assert "url(http" not in picture
    assert picture == display.svg(run(), 120)


# --- plain lines -------------------------------------------------------------------------------------------------


class Ticker:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_writes_a_progress_line_when_something_changed_and_time_has_passed() -> None:
    stream, clock = io.StringIO(), Ticker()
    plain = Plain(stream, clock, every=10.0)
    quiet = run(workers=(), events=())
    plain.update(quiet)
    for done in range(513, 600):
        plain.update(msgspec.structs.replace(quiet, done=done))
    assert len(stream.getvalue().splitlines()) == 1
    clock.now = 11.0
    plain.update(msgspec.structs.replace(quiet, done=600))
    clock.now = 99.0
    plain.update(msgspec.structs.replace(quiet, done=600, rate=1.0))
    first, second = stream.getvalue().splitlines()
    assert first.endswith("demo 512/1260 40% 186.3/s eta 1m 05s failed 3 · DigitsMCQ 96.2 %")
    assert " 600/1260 " in second


@pytest.mark.parametrize(("eta", "said"), [(40.0, "loading eta 40s failed 0"), (None, "loading failed 0")])
def test_plain_says_when_a_run_ends_that_still_loads_if_that_is_known(eta: float | None, said: str) -> None:
    assert f"demo 0/1260 0% {said}" in progress_line(run(phase="loading", rate=0.0, done=0, failed=0, eta=eta))


def test_plain_writes_at_once_when_a_job_finishes_a_phase_changes_or_an_event_arrives() -> None:
    stream = io.StringIO()
    plain = Plain(stream, Ticker(), every=1e9)
    started = Event(time=0.0, text="w0 started")
    state = run(workers=(worker(phase="loading"),), events=(started,))
    plain.update(state)
    plain.update(state)
    first = stream.getvalue().splitlines()
    assert [line.split(" ", 1)[1] for line in first[:2]] == ["w0 started", "w0 (GPU 0) loading"]
    assert len(first) == 3
    warned = Event(time=1.0, text="w0 died", level="warning")
    plain.update(msgspec.structs.replace(state, workers=(worker(),), events=(started, warned)))
    jobs = (job(finished=True, done=420), job("DigitsVQA"))
    plain.update(msgspec.structs.replace(state, workers=(worker(),), jobs=jobs, events=(warned,)))
    rest = [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()[3:]]
    assert rest[:2] == ["warning: w0 died", "w0 (GPU 0) working"]
    assert rest[2].startswith("demo ")
    assert len(rest) == 3


def test_plain_ends_with_the_last_state() -> None:
    stream = io.StringIO()
    with Plain(stream, Ticker(), every=1e9) as plain:
        plain.update(run())
        plain.update(run(done=1260, running=False, phase="finished", jobs=(job(finished=True),)))
        plain.update(run(done=1260, running=False, phase="finished", jobs=(job(finished=True, score=0.5),)))
    last = [line for line in stream.getvalue().splitlines() if "1260/1260 100% finished in 2m 14s" in line]
    assert [line.rpartition(" · ")[2] for line in last] == ["DigitsMCQ 50.0 %"], "the end is told once"


class Broken(io.StringIO):
    """A stream whose reader has gone away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("mode", ["plain", "json", "live"])
def test_a_closed_pipe_does_not_stop_the_run(mode: Any) -> None:
    for stream in (Broken(), closed()):
        with display.screen(mode, stream) as screen:
            screen.update(run())
            screen.update(run(done=600))
            screen.line("still here")


def closed() -> IO[str]:
    stream = io.StringIO()
    stream.close()
    return stream


def test_a_terminal_that_breaks_while_drawing_does_not_stop_the_run() -> None:
    class Tty(Broken):
        def isatty(self) -> bool:
            return True

    with Live(Tty()) as live:
        live.update(run())
        live.update(run())


def test_the_end_of_a_pipe_does_not_change_the_exit_code() -> None:
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    code += "from test_display import *\n"
    code += "with display.screen('plain', sys.stdout) as screen:\n"
    code += "    for i in range(2000): screen.line(f'line {i}')\n"
    code += "display.show(run(), sys.stdout)\n"
    code += "display.show_results([(summary('d'), 1.0)], Path('/r'), sys.stdout)\n"
    code += "sys.exit(4)\n"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 4
    assert process.stderr.read() == b""


def test_letters_the_stream_cannot_encode_are_replaced() -> None:
    raw = io.BytesIO()
    plain = Plain(io.TextIOWrapper(raw, encoding="ascii"))
    plain.line("狗 – ok")
    assert raw.getvalue().endswith(b" ? ? ok\n")


# --- JSON lines ---------------------------------------------------------------------------------------------------


def test_json_lines_start_progress_on_change_and_done() -> None:
    stream, clock = io.StringIO(), Ticker()
    with display.screen("json", stream, clock) as screen:
        state = run()
        screen.update(state)
        clock.now = 5.0
        screen.update(msgspec.structs.replace(state, rate=1.0, elapsed=99.0))
        screen.update(msgspec.structs.replace(state, jobs=(job(done=400),), done=600))
        screen.update(msgspec.structs.replace(state, jobs=(job(done=401),), done=601))
        screen.line("draining")
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [r["event"] for r in records] == ["start", "progress", "line", "done"]
    assert records[1]["done"] == 600
    assert records[3]["done"] == 601
    assert records[0]["workers"][0]["gpus"][0]["utilization"] == 93


# --- the live screen ----------------------------------------------------------------------------------------------

SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from test_display import display, run
kind = sys.argv[1]
with display.screen("live", sys.stdout) as screen:
    started = time.monotonic()
    calls = 0
    while time.monotonic() - started < 1.1:
        if kind == "broken" and calls == 5:
            import vlmeval_mp.display.screens as screens
            def broken(*arguments): raise RuntimeError("no picture")
            screens.render = broken
        screen.update(run(done=500 + calls))
        calls += 1
        time.sleep(0.02)
    screen.line("above the picture")
    screen.update(run(done=1260))
print("after", calls)
"""


def under_a_terminal(*arguments: str, **environment: str) -> str:
    """Output of SCRIPT with a pseudo-terminal for its standard streams."""
    master, slave = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", **environment}
    code = SCRIPT.format(tests=str(Path(__file__).parent))
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=slave, stderr=slave, env=env)
    os.close(slave)
    output, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            output += piece
    os.close(master)
    assert process.wait(10) == 0, output.decode(errors="replace")
    return output.decode()


@pytest.mark.slow
def test_the_live_screen_redraws_in_place_at_most_four_times_a_second_and_gives_the_cursor_back() -> None:
    output = under_a_terminal("fine")
    frames = output.count("DigitsVQA")
    assert 3 <= frames <= 8
    assert output.count("\x1b[?25l") == output.count("\x1b[?25h") == 1
    assert "1,260/1,260" in output
    assert "above the picture" in output
    assert re.search(r"after \d+", output.rsplit("\x1b[?25h", 1)[1])


@pytest.mark.slow
def test_a_drawing_error_turns_the_live_screen_into_plain_lines() -> None:
    output = under_a_terminal("broken")
    assert output.count("could not be drawn") <= 1
    assert "demo 1260/1260 100%" in output
    assert output.count("\x1b[?25l") == output.count("\x1b[?25h")
    assert "after" in output


@pytest.mark.slow
def test_a_dumb_terminal_gets_plain_lines() -> None:
    output = under_a_terminal("fine", TERM="dumb")
    assert "\x1b" not in output
    assert "demo 1260/1260 100%" in output


def test_something_that_is_no_terminal_gets_plain_lines() -> None:
    assert isinstance(display.screen("live", io.StringIO()), Plain)


# --- the table at the end -----------------------------------------------------------------------------------------


def summary(
    dataset: str, *, model: str = "digits", unscored: int = 0, stderr: float | None = 0.0073, **fields: Any
) -> Summary:
    counts = Counts(total=1420, scored=1418 - unscored, unscored=unscored, failed=2)
    known: dict[str, Any] = {"primary_metric": "accuracy", "metrics": {"accuracy": 0.978, "accuracy_all": 0.97}}
    known |= {"by_category": {}, "by_l2_category": {}, "by_split": {}, "scorers": {"mcq": 420}, "scoring": "strict"}
    return Summary(**{"model": model, "dataset": dataset, "stderr": stderr, "counts": counts, **known, **fields})


def other(value: float, differ: int, metric: str = "accuracy") -> OtherMode:
    return OtherMode(scoring="compat (ms-vlmeval 0.0.20)", metrics={metric: value}, differ=differ)


def test_the_table_shows_metric_error_samples_failures_and_speed() -> None:
    text = results_text([(summary("DigitsMCQ"), 186.31), (summary("DigitsVQA", stderr=None), None)], Path("/r"))
    heading, first, second, where = text.splitlines()
    beside = ["incl.", "failed", "coverage"]
    assert heading.split() == ["dataset", "accuracy", *beside, "samples", "failed", "samples/s"]
    assert first.split() == ["DigitsMCQ", "97.80", "±", "0.73", "97.00", "99.86", "%", "1,420", "2", "186.3"]
    assert second.split() == ["DigitsVQA", "97.80", "97.00", "99.86", "%", "1,420", "2", "–"]
    assert where == "results in /r"


def test_the_table_names_models_when_there_are_several_and_unscored_when_there_are_any() -> None:
    text = results_text([(summary("d", model="x"), 1.0), (summary("d", model="y", unscored=4), 1.0)], Path("/r"))
    assert text.splitlines()[0].split() == [
        "dataset",
        "model",
        "accuracy",
        "incl.",
        "failed",
        "coverage",
        "samples",
        "failed",
        "unscored",
        "samples/s",
    ]
    assert " 4 " in text.splitlines()[2]


WHOLE = Counts(total=1000, scored=1000, unscored=0, failed=0)


def test_a_complete_job_shows_its_number_with_the_interval_and_nothing_beside_it() -> None:
    sure = summary("MMStar", counts=WHOLE, interval=(0.965, 0.9861), method="Wilson")
    heading, row, *_ = results_text([(sure, None)], Path("/r")).splitlines()
    assert heading.split() == ["dataset", "accuracy", "[95", "%]", "samples", "failed"]
    assert row.split() == ["MMStar", "97.80", "[96.50,", "98.61]", "1,000", "0"]


def test_a_job_without_enough_verdicts_shows_bounds_and_no_number() -> None:
    counts = Counts(total=1000, scored=7, unscored=993, failed=0)
    metrics = {"accuracy": None, "accuracy_all": None, "accuracy_scored": 4 / 7}
    remnant = summary("MathVista", counts=counts, metrics=metrics, bounds=(0.004, 0.997), warnings=("993 have none",))
    stream = io.StringIO()
    display.show_results([(remnant, None)], Path("/r"), stream)
    heading, row, *rest = stream.getvalue().splitlines()
    assert heading.split() == ["dataset", "accuracy", "coverage", "samples", "failed", "unscored"]
    assert row.split() == ["MathVista", "0.40", "to", "99.70", "0.70", "%", "1,000", "0", "993"]
    assert "57.14" not in stream.getvalue()
    assert rest[-1] == "warning: MathVista: 993 have none"
    stream = io.StringIO()
    display.show_results([(remnant, None)], Path("/r"), stream, as_json=True)
    assert json.loads(stream.getvalue())["warnings"] == ["MathVista: 993 have none"]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_an_interval_without_room_stands_under_the_table(width: int) -> None:
    results = [(summary("MMBench_DEV_EN_V11", interval=(0.965, 0.9861)), 12.0)]
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(results_table(results, Path("/r"), width))
    shown = " ".join(stream.getvalue().split())
    assert max(map(len, stream.getvalue().splitlines())) <= width
    assert ("97.80 [96.50, 98.61]" in shown) == (width > 60)
    assert ("95 % [96.50, 98.61]" in shown) == (width <= 60)


def test_what_the_other_mode_says_stands_under_the_table_with_its_version() -> None:
    results = [(summary("MMStar", other=other(0.612, 12)), None), (summary("AI2D", other=other(0.978, 0)), None)]
    lines = results_text(results, Path("/r")).splitlines()
    assert lines[3:] == [
        "MMStar: 12 samples differ between compat and strict (compat (ms-vlmeval 0.0.20): 61.20 %)",
        "compat counts as VLMEvalKit's rules do; docs/scoring.md has an example of each difference",
        "results in /r",
    ]
    one = results_text([(summary("MMStar", other=other(0.9, 1)), None)], None)
    assert "1 sample differs between" in one


def test_a_mode_that_does_not_apply_has_no_number_under_the_table() -> None:
    theirs = msgspec.structs.replace(other(0.0, 472), applies=False)
    open_set = summary("DigitsVQA", other=theirs, notes=("compat does not apply: why",))
    assert results_text([(open_set, None)], Path("/r")).splitlines()[2:] == [
        "DigitsVQA: compat does not apply: why",
        "results in /r",
    ]


def test_what_is_the_same_of_many_jobs_is_one_line_for_people_and_one_each_for_programs() -> None:
    notes, doubt = ("compat does not apply: why",), "{} of 9 replies say nothing"
    jobs = [summary(f"d{n}", notes=notes, warnings=(doubt.format(n),)) for n in range(9)]
    stream = io.StringIO()
    display.show_results([(each, None) for each in jobs], Path("/r"), stream)
    assert stream.getvalue().splitlines()[10:] == [
        "d0, d1, d2 and 6 more: compat does not apply: why",
        "results in /r",
        "warning: d0: 0 of 9 replies say nothing; the same, by figures of their own, of d1, d2, d3 and 5 more",
    ]
    stream = io.StringIO()
    display.show_results([(each, None) for each in jobs], Path("/r"), stream, as_json=True)
    assert json.loads(stream.getvalue())["warnings"] == [f"d{n}: {n} of 9 replies say nothing" for n in range(9)]


def test_the_number_by_the_authors_own_rule_stands_under_the_table() -> None:
    own = OtherMode("official", {"accuracy": 0.45, "accuracy_all": 0.44}, differ=3, unscored=2)
    told = "MathVision: by the authors' own rule (--scoring official): "
    text = results_text([(summary("MathVision", official=own), None)], None)
    assert f"{told}45.00 %, 2 unscored" in text.splitlines()
    between = OtherMode("official", {"accuracy": None}, differ=3, bounds=(0.4, 0.6))
    text = results_text([(summary("MathVision", official=between), None)], None)
    assert f"{told}40.00 to 60.00 %" in text.splitlines()


def test_a_metric_that_differs_though_no_sample_does_is_said() -> None:
    counts = Counts(total=1420, scored=1420, unscored=0, failed=0)
    text = results_text([(summary("MMStar", counts=counts, other=other(0.97, 0)), None)], Path("/r"))
    assert "MMStar: no sample differs between compat and strict, the metric does (compat" in text
    assert "97.00 %" in text
    some = results_text([(summary("MMStar", other=other(0.97, 0)), None)], Path("/r"))
    assert "MMStar: compat scores failed samples, too (compat (ms-vlmeval 0.0.20): 97.00 %)" in some


def test_the_other_mode_is_shown_by_its_own_first_metric_and_with_what_it_leaves_out() -> None:
    macro = {"primary_metric": "task_mean_accuracy", "metrics": {"task_mean_accuracy": 0.37, "accuracy": 0.36}}
    theirs = OtherMode("compat (ms-vlmeval 0.0.20)", {"accuracy": 0.36, "task_mean_accuracy": 0.37}, differ=0)
    text = results_text([(summary("BLINK", **macro, other=theirs), None)], None)
    assert "the metric does (compat (ms-vlmeval 0.0.20): accuracy 36.00 %)" in text
    judged = OtherMode("compat (ms-vlmeval 0.0.20)", {"accuracy": 0.3125}, differ=792, unscored=792)
    text = results_text([(summary("MathVista_MINI", other=judged), None)], None)
    assert "792 samples differ between compat and strict (compat (ms-vlmeval 0.0.20): 31.25 %, 792 unscored)" in text
    none = OtherMode("compat (ms-vlmeval 0.0.20)", {"accuracy": None}, differ=9, unscored=9)
    assert "0.0.20): –, 9 unscored)" in results_text([(summary("MMVet", other=none), None)], None)


def test_a_table_of_compat_scores_names_the_version_they_follow() -> None:
    compat = summary("MMStar", scoring="compat (ms-vlmeval 0.0.20)", other=OtherMode("strict", {"accuracy": 0.9}, 3))
    lines = results_text([(compat, None)], Path("/r")).splitlines()
    assert lines[2] == "scored as compat (ms-vlmeval 0.0.20)"
    assert lines[3] == "MMStar: 3 samples differ between compat and strict (strict: 90.00 %)"


def test_two_models_on_one_data_set_are_told_apart_under_the_table() -> None:
    results = [(summary("d", model=m, other=other(0.5, 2)), None) for m in ("x", "y")]
    assert "y on d: 2 samples differ" in results_text(results, Path("/r"))


def test_the_heading_is_the_metric_and_points_are_no_percentage() -> None:
    mme = summary("MME", primary_metric="total_points", metrics={"total_points": 1834.125}, stderr=12.0)
    mme = msgspec.structs.replace(mme, other=other(1800.0, 4, "total_points"))
    heading, row, note, *_ = results_text([(mme, None)], Path("/r")).splitlines()
    assert "total points" in heading
    assert "1,834.12 ± 12.00" in row
    assert note.endswith("(compat (ms-vlmeval 0.0.20): 1,800.00)")


def test_different_metrics_in_one_table_are_named_in_each_row() -> None:
    pope = summary("POPE", primary_metric="f1", metrics={"f1": 0.855})
    heading, first, second, *_ = results_text([(summary("d"), None), (pope, None)], Path("/r")).splitlines()
    assert heading.split() == ["dataset", "metric", "score", "incl.", "failed", "coverage", "samples", "failed"]
    assert first.split()[:3] == ["d", "accuracy", "97.80"]
    assert second.split()[:3] == ["POPE", "f1", "85.50"]


def test_truncated_and_empty_answers_have_a_column_only_where_there_are_any() -> None:
    counts = Counts(total=9, scored=9, unscored=0, failed=0, truncated=3)
    whole = Counts(total=9, scored=9, unscored=0, failed=0)
    heading, first, second, *_ = results_text(
        [(summary("d", counts=counts), None), (summary("e", counts=whole), None)], Path("/r")
    ).splitlines()
    assert heading.split() == ["dataset", "accuracy", "samples", "failed", "truncated"]
    assert (first.split()[-1], second.split()[-1]) == ("3", "0")


@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_table_on_a_terminal_says_the_same_and_fits(width: int) -> None:
    stream = io.StringIO()
    results = [(summary("A_long_data_set_name_" * 4), 186.31), (summary("b", model="other"), None)]
    Console(file=stream, width=width, color_system=None).print(results_table(results, Path("/r"), width))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for shown in ("97.80 ± 0.73", "1,420", "/r", "other"):
        assert shown in stream.getvalue()
    assert ("186.3" in stream.getvalue()) == (width > 80)


@pytest.mark.parametrize("width", [50, 60, 80, 100, 160])
def test_a_screen_too_narrow_for_every_count_has_them_under_the_table(width: int) -> None:
    counts = Counts(total=12_345, scored=12_000, unscored=300, failed=45, truncated=7, empty=1)
    results = [(summary("MMBench_DEV_EN_V11", model=m, counts=counts), 1234.0) for m in ("Qwen2-VL-72B", "x")]
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(results_table(results, Path("/r"), width))
    shown = stream.getvalue()
    assert max(map(len, shown.splitlines())) <= width
    assert "97.80 ± 0.73" in shown
    assert ("x on MMBench_DEV_EN_V11: 1 empty" in shown or "1 empty" in shown) == (width <= 100)
    for count in ("12,345", "45", "300", "7"):
        assert re.search(rf"\b{count}\b", shown)


def test_results_as_json_hold_the_summaries_and_the_exit_code() -> None:
    stream = io.StringIO()
    display.show_results([(summary("d"), 2.0)], Path("/r"), stream, as_json=True, code=1)
    record = json.loads(stream.getvalue())
    assert (record["event"], record["exit_code"]) == ("results", 1)
    assert record["results"][0]["metrics"]["accuracy"] == 0.978
    assert record["results"][0]["samples_per_second"] == 2.0


def test_a_run_without_results_says_so() -> None:
    assert results_text([], Path("/r")) == "no job has results yet"  # the folder may not even exist


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (4.4, "4s"),
        (59.6, "1m 00s"),
        (125, "2m 05s"),
        (3720, "1h 02m"),
        (273600, "3d 04h"),
        (None, "–"),
        (float("inf"), "–"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0.0/s"),
        (0.417, "0.42/s"),
        (9.99, "9.99/s"),
        (9.999, "10.0/s"),
        (186.31, "186.3/s"),
        (999.96, "1,000/s"),
        (None, "–"),
    ],
)
def test_rates(value: float | None, shown: str) -> None:
    assert rate(value) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(0, 10, "0%"), (999_999, 1_000_000, "99%"), (5, 5, "100%"), (0, 0, "100%"), (1, 3, "33%")],
)
def test_one_hundred_percent_means_all_of_it(part: int, whole: int, shown: str) -> None:
    assert fraction(part, whole) == shown


def test_memory() -> None:
    assert size(61.24 * GIB, 141 * GIB) == "61.2/141 GiB"


# --- a worker that waits ---------------------------------------------------------------------------------------------

NOTICE = Notice("http://h/v1 cannot be reached", "http://h/v1 is back", since=0.0, most=300.0)


def waiting(seconds: int) -> RunState:
    text = f"http://h/v1 cannot be reached for {seconds} s"
    return run(workers=(worker(phase="loading", notice=NOTICE, message=text),))


def test_a_worker_that_waits_says_so_in_its_row_in_yellow() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=160, force_terminal=True, color_system="standard", no_color=False)
    console.print(display.render(waiting(12), 160))
    assert re.search(r"\x1b\[33mhttp://h/v1 cannot be reached for 12 s", stream.getvalue())


def test_json_lines_do_not_count_the_seconds_of_a_worker_that_waits() -> None:
    stream, clock = io.StringIO(), Ticker()
    with display.screen("json", stream, clock) as screen:
        for second in range(1, 60):
            clock.now = float(second)
            screen.update(waiting(second))
        clock.now = 60.0
        screen.update(run(workers=(worker(phase="loading"),)))
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [record["event"] for record in records] == ["start", "progress", "done"]
    assert records[0]["workers"][0]["notice"]["text"] == NOTICE.text


def test_a_plain_table_lines_up_wide_characters_and_breaks_no_long_name() -> None:
    rows = [("数学题", "1"), ("x" * 300, "1,000")]
    heading, wide, long = plain_table(("dataset", "samples"), rows, ("dataset",))
    assert {cell_len(heading), cell_len(wide), cell_len(long)} == {309}
    assert long == "x" * 300 + "    1,000"


# --- what has no room, and what stands without colour -------------------------------------------------------------


def crowded() -> RunState:
    names = [f"Benchmark_{number}" for number in range(12)]
    happened = [Event(time=0.0, text="w5 died (out of memory)", level="error")]
    happened += [Event(time=float(n), text=f"event {n}") for n in range(30)]
    jobs = tuple(
        job(name, failed=12 * (n == 3), reasons={"image missing": 12} if n == 3 else {}) for n, name in enumerate(names)
    )
    return run(workers=tuple(worker(f"w{n}", job=names[n]) for n in range(8)), jobs=jobs, events=tuple(happened))


def test_a_low_screen_has_every_job_every_worker_the_failures_and_the_last_error() -> None:
    lines = drawn(crowded(), 80, 24)
    text = "\n".join(lines)
    assert len(lines) <= 24
    for number in range(12):
        assert re.search(rf"^Benchmark_{number} ", text, re.MULTILINE)
    assert [name for name in (f"w{n} " for n in range(8)) if name not in text] == []
    assert "12 × image missing · Benchmark_3" in text
    assert "w5 died (out of memory)" in text
    assert "event 29" in text


@pytest.mark.parametrize("started", range(1, 8))
def test_a_low_screen_is_drawn_while_only_some_workers_have_started(started: int) -> None:
    state = crowded()
    text = "\n".join(drawn(msgspec.structs.replace(state, workers=state.workers[:started]), 80, 24))
    assert [name for name in (f"w{n} " for n in range(started)) if name not in text] == []


def test_a_long_name_is_whole_where_the_bar_has_room_for_it() -> None:
    named = run(jobs=(job("LongNamedBenchmark_DEV_EN_V11"), job("short")))
    assert "LongNamedBenchmark_DEV_EN_V11 " in "\n".join(drawn(named, 120))
    assert "LongNamedBenchmark_…" in "\n".join(drawn(named, 80))
    longest = "A_benchmark_of_46_letters_or_so_DEV_EN_V11_abcd"
    wide = "\n".join(drawn(run(jobs=(job(longest[:46], metric="relaxed_accuracy"),)), 160))
    assert f"{longest[:46]} " in wide and "relaxed accuracy" in wide
    assert "━" * 5 in wide


def test_a_high_screen_shows_more_of_what_happened_and_of_each_worker() -> None:
    text = "\n".join(drawn(crowded(), 160, 50))
    assert text.count("event ") > 15
    assert "tok/s in" in text
    assert "w5 died" in text


def test_a_bar_can_be_read_without_colour_and_is_whole_only_at_the_end() -> None:
    assert Bar(50, 0, 100, 10).cells() == (5, 0, 5)
    assert Bar(999, 1, 1000, 10).cells() == (8, 1, 1)
    assert Bar(100, 100, 100, 10).cells() == (0, 10, 0)
    assert "━━━━━····" in "\n".join(drawn(run(jobs=(job(done=210, total=420),), failed=0), 80))


def test_a_worker_that_loads_says_at_what_for_how_long_and_how_long_it_took_last_time() -> None:
    loads = worker(phase="loading", answered=0, rate=0.0, stage="reading weights 3/7", stage_seconds=12, stage_usual=40)
    text = "\n".join(drawn(run(phase="loading", workers=(loads,), rate=0.0, eta=None, done=0), 160))
    assert "reading weights 3/7 12s of ~40s" in text
    assert "/s" not in text.replace("tok/s", "")


def test_plain_lines_tell_a_stage_once_and_not_its_progress() -> None:
    stream = io.StringIO()
    plain = Plain(stream, Ticker(), every=1e9)
    for stage in ("reading weights 1/7", "reading weights 2/7", "compiling"):
        plain.update(run(events=(), workers=(worker(phase="loading", stage=stage),)))
    told = [line.split(" ", 1)[1] for line in stream.getvalue().splitlines() if "loading" in line]
    assert told == ["w0 (GPU 0) loading: reading weights", "w0 (GPU 0) loading: compiling"]


def test_a_sparkline_has_a_bar_for_each_look() -> None:
    assert spark([0, 50, 100], 8) == "▁▅█"
    assert spark(range(100), 3) == "███"
