"""The engine's first cause is found in what it logged, and lasting causes are told from passing ones."""

from pathlib import Path

import pytest

from vlmeval_mp.pool.supervisor import causes

LOGS = Path(__file__).with_name("logs")
SUMMARY = "vLLM could not load m: Engine core initialization failed. See root cause above. Failed core proc(s): {}"


def told(tmp_path, *lines, message=SUMMARY, loading=True, before=""):
    log = tmp_path / "w0.log"
    log.write_text(before + "".join(f"{line}\n" for line in lines))
    return causes.told(message, log, len(before), loading=loading)


def core(*lines):
    return [f"(EngineCore pid=7) ERROR 11-29 09:00:00 [core.py:1] {line}" for line in lines]


def test_what_vllm_really_logged_of_weights_that_were_cut_off_lasts():
    text, kind = causes.told(SUMMARY, LOGS / "truncated_weights.log", 0, loading=True)
    assert text.startswith("ValidationError: 1 validation error for VllmConfig: Value error, Expecting value: line 1")
    assert text.endswith("(char 4992)"), "pydantic's list of what it was given says nothing"
    assert kind == "lasting"


def test_what_vllm_really_logged_of_a_child_that_could_not_import_names_what_is_missing():
    text, kind = causes.told(SUMMARY, LOGS / "child_import_error.log", 0, loading=True)
    assert text.startswith("ImportError: cannot import name 'DEFAULT_WINDOWS'")
    assert kind == "lasting"


def test_of_a_chain_of_errors_the_first_counts(tmp_path):
    lines = core(
        "EngineCore failed to start.", "Traceback (most recent call last):", '  File "a.py", line 1, in load',
        "    open(x)", "FileNotFoundError: [Errno 2] No such file or directory: 'x'", "",
        "The above exception was the direct cause of the following exception:", "",
        "Traceback (most recent call last):", "RuntimeError: Engine core initialization failed.",
    )  # fmt: skip
    assert told(tmp_path, *lines) == ("FileNotFoundError: [Errno 2] No such file or directory: 'x'", "lasting")


def test_what_pydantic_says_below_its_error_belongs_to_the_cause(tmp_path):
    text, kind = told(
        tmp_path, "Traceback (most recent call last):",
        "pydantic_core._pydantic_core.ValidationError: 1 validation error",
        "  Value error, User-specified max_model_len is too large [type=value_error]",
    )  # fmt: skip
    assert "User-specified max_model_len is too large" in text
    assert kind == "lasting"


def test_an_earlier_worker_in_the_same_log_is_not_looked_at(tmp_path):
    before = "Traceback (most recent call last):\nValueError: an old one\n"
    assert told(tmp_path, "nothing", before=before) == (SUMMARY, "passing")


@pytest.mark.parametrize(
    ("frame", "kind"), [("load_weights", "lasting"), ("profile_run", "memory"), ("forward", "memory")]
)
def test_memory_that_ran_out_lasts_only_if_the_weights_did_not_fit(tmp_path, frame, kind):
    lines = core(
        "Traceback (most recent call last):", f'  File "a.py", line 1, in {frame}',
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    )  # fmt: skip
    assert told(tmp_path, *lines) == ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", kind)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("ValueError: Free memory on device cuda:0 (1/80 GiB) is less than desired", "passing"),
        ("OSError: [Errno 98] Address already in use", "passing"),
        ("OSError: [Errno 24] Too many open files", "lasting"),
        ("ModuleNotFoundError: No module named 'flash_attn'", "lasting"),
        ("RuntimeError: NCCL error: unhandled system error", "passing"),
    ],
)
def test_what_may_pass_is_tried_again(tmp_path, message, kind):
    assert told(tmp_path, message=message)[1] == kind


def test_an_engine_that_worked_before_it_died_is_started_again(tmp_path):
    assert told(tmp_path, message="ValueError: odd", loading=False) == ("ValueError: odd", "passing")
