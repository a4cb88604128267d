"""Keys are refused where they would be kept, and masked where somebody's command is."""

import io
import logging

import pytest

from vlmeval_mp.core import credentials
from vlmeval_mp.core.errors import ConfigError

SECRET = "sk-proj-abcdefghijklmnop0123"


@pytest.mark.parametrize(
    "value",
    [
        {"api_key": SECRET},
        {"Authorization": f"Bearer {SECRET}"},
        {"hf_token": "hf_abcdefghijklmnop0123"},
        {"extra_body": {"deep": [{"x-api-key": SECRET}]}},
        {"base_url": f"http://me:{SECRET}@host/v1"},
        {"base_url": f"https://host/v1?api-key={SECRET}"},
    ],
)
def test_an_argument_that_holds_a_key_is_refused_without_repeating_it(value):
    with pytest.raises(ConfigError) as caught:
        credentials.refuse("engine_args", value)
    assert str(caught.value).startswith("engine_args.")
    assert "OPENAI_API_KEY" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "hf_abc" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        {"api_key_env": "MY_KEY", "base_url": "http://127.0.0.1:8000/v1"},
        {"api_key": "EMPTY"},
        {"hf_token": True},
        {"eos_token": "<end>", "max_tokens": 3},
        {"key": "sk-123456"},
    ],
)
def test_what_is_no_key_passes(value):
    credentials.refuse("engine_args", value)


def test_a_command_is_kept_without_the_values_of_secret_variables_and_without_what_looks_like_a_key():
    environ = {"VENDOR_TOKEN": "plain-looking-value", "HOME": "/root", "SHORT_KEY": "a"}
    text = f"launch --x plain-looking-value --home /root -y {SECRET} http://u:p4ss@host/v1 a"
    assert credentials.masked(text, environ) == "launch --x $VENDOR_TOKEN --home /root -y sk-*** http://***@host/v1 a"


def test_a_log_line_never_spells_out_a_key(caplog, monkeypatch):
    monkeypatch.setattr(logging, "_logRecordFactory", logging.getLogRecordFactory())
    credentials.guard_logs({"VENDOR_API_KEY": SECRET, "HOME": "/root"})
    with caplog.at_level(logging.INFO):
        logging.getLogger("some.library").info("Using API Base: %s; API Key: %s", "http://h", SECRET)
        logging.getLogger("some.library").info("nothing %s in /root", "secret")
    assert [r.getMessage() for r in caplog.records] == [
        "Using API Base: http://h; API Key: $VENDOR_API_KEY", "nothing secret in /root",
    ]  # fmt: skip


def test_a_traceback_in_a_log_never_spells_out_a_key(monkeypatch):
    monkeypatch.setattr(logging, "_logRecordFactory", logging.getLogRecordFactory())
    credentials.guard_logs({"VENDOR_API_KEY": SECRET})
    written = io.StringIO()
    logger, handler = logging.getLogger("some.library"), logging.StreamHandler(written)
    logger.addHandler(handler)
    try:
        raise OSError(f"cannot reach https://host/v1?key={SECRET}")
    except OSError as error:
        logger.warning("failed on a sample", exc_info=error)
    finally:
        logger.removeHandler(handler)
    assert "cannot reach https://host/v1?key=$VENDOR_API_KEY" in written.getvalue()
    assert "Traceback" in written.getvalue()
    assert SECRET not in written.getvalue()


def test_a_configuration_that_spells_out_a_secret_variable_is_refused_wherever_it_does():
    credentials.refuse_kept('{"user": "me", "word": "short-key-value"}', {"A_KEY": "short", "HOME": "me"})
    with pytest.raises(ConfigError, match=r"\$VENDOR_API_KEY") as caught:
        credentials.refuse_kept(f'{{"extra_body": {{"user": "{SECRET}"}}}}', {"VENDOR_API_KEY": SECRET})
    assert SECRET not in str(caught.value)
