"""The process that VLMEvalKit's code runs in: what it needs, what it may reach, and that ours is left alone."""

import json
import os
import ssl
import subprocess
import sys
import threading
import time

import pytest

from vlmeval_mp.core.errors import ConfigError, DependencyError, VlmevalError
from vlmeval_mp.vlmevalkit import client, registry

CHILD = str(client.SERVER.parent)
WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "transformers", "openai", "cv2", "scipy", "sklearn", "vllm"):
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Absent())
"""
WITHOUT_VLMEVAL = WITHOUT_TORCH.replace('"torch",', '"vlmeval",')


def in_child(code):
    """What `code` prints in a fresh Python that finds the child's modules."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {CHILD!r})\n{code}"],
        capture_output=True, text=True, check=True, env={**os.environ, "OPENAI_API_KEY": "sk-very-secret"},
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_shipped_registry_is_that_of_the_installed_version():
    shipped = registry.REGISTRY.read_text(encoding="utf-8")
    assert shipped == registry.as_text(registry.ask(sys.executable)), (
        "write it anew: python -m vlmeval_mp.vlmevalkit.registry"
    )


def test_whether_an_evaluator_asks_a_judge_is_read_from_its_source():
    code = """
import wanting

class Base:
    TYPE = "VQA"
    def evaluate(self, file, **judge):
        return self._rate(file, **judge)
    def _rate(self, file, **judge):
        return None

class Rules(Base):
    pass

class Judged(Base):
    def _rate(self, file, **judge):
        return build_judge(**judge)

class Either(Judged):
    def evaluate(self, file, **judge):
        return 0 if judge["model"] == "exact_matching" else super().evaluate(file, **judge)

class Choice(Either):
    TYPE = "MCQ"

print([wanting.judge(each) for each in (Rules, Judged, Either, Choice, object)])
"""
    with_source = f"""
import linecache, sys
text = {code!r}
linecache.cache["made.py"] = (len(text), None, text.splitlines(True), "made.py")
exec(compile(text, "made.py", "exec"))
"""
    assert in_child(with_source).strip() == "['', 'always', 'or rules', '', '']"
    found = registry.known()
    assert [found[name].judge for name in ("MMVet", "LogicVista", "MMStar", "VizWiz")] == ["always", "or rules", "", ""]


def test_it_needs_no_torch_and_another_interpreter_will_do(other_python):
    other_python(WITHOUT_TORCH)
    found = registry.known()
    assert found["VizWiz"].kind == "VizWiz"
    assert found["VizWiz"].type == "VQA"
    assert found["Video-MME_8frame"].modality == "VIDEO"
    assert len(found) > 700


def test_an_interpreter_without_vlmeval_is_said_with_the_install_line(other_python):
    other_python(WITHOUT_VLMEVAL)
    with pytest.raises(DependencyError, match=r"pip install --no-deps ms-vlmeval==0\.0\.20") as caught:
        registry.known()
    assert caught.value.exit_code == 3


def test_an_interpreter_that_is_none_is_said(monkeypatch):
    monkeypatch.setenv(client.VARIABLE, "/nowhere/python")
    with pytest.raises(DependencyError, match="/nowhere/python cannot be started"):
        client.version(client.interpreter())


def test_our_tls_settings_environment_and_modules_are_untouched(lmu):
    lmu.count_bench()
    before = dict(os.environ), ssl._create_default_https_context, ssl.create_default_context().verify_mode
    loaded = set(sys.modules)
    rows = list(client.ask({"do": "names"}, lmu_data=lmu.folder))
    assert rows[-1]["end"]["names"]
    assert before == (dict(os.environ), ssl._create_default_https_context, ssl.create_default_context().verify_mode)
    assert not [name for name in set(sys.modules) - loaded if name.split(".")[0] == "vlmeval"]


def test_the_import_leaves_tls_on_loads_nothing_heavy_and_takes_its_stand_ins_away():
    said = in_child(
        "import types, ssl, light_import as l, json\n"
        "before = list(sys.meta_path)\n"
        "d = l.import_dataset(l.package_folder(), types.ModuleType('vlmeval.api'))\n"
        "print(json.dumps([len(d.SUPPORTED_DATASETS), [m for m in l.LAZY if m in sys.modules], before == sys.meta_path,"
        " ssl._create_default_https_context is ssl.create_default_context, 'vlmeval.config' in sys.modules]))"
    )
    count, heavy, clean, verifying, models = json.loads(said.splitlines()[-1])
    assert count > 590
    assert (heavy, clean, verifying, models) == ([], True, True, False)


def test_a_stand_in_becomes_the_real_package_or_an_error_that_names_it():
    said = in_child(
        "import light_import as l\n"
        "f = l.Standin('json.loads'); g = l.Standin('nopackage.function')\n"
        "l.Standin.importing = False\n"
        "print(f('[7]'))\n"
        "try: g(1)\nexcept l.MissingPackageError as e: print(e)"
    )
    assert "[7]" in said
    assert "needs the package 'nopackage'" in said


def test_no_host_is_reached_but_a_named_judges():
    said = in_child(
        "import guard, urllib.request\n"
        "guard.allow_only(guard.judge_hosts({'api_base': 'http://127.0.0.1:1/v1'}))\n"
        "for url in ('http://127.0.0.1:1', 'http://example.com'):\n"
        "    try: urllib.request.urlopen(url)\n"
        "    except OSError as e: print(url, e)"
    )
    assert "http://127.0.0.1:1 <urlopen error [Errno 111]" in said
    assert "example.com was not asked for" in said


def test_a_key_is_never_shown_by_a_log_record_or_a_print():
    said = in_child(
        "import guard, logging\n"
        "guard.hide_secrets()\n"
        "logging.basicConfig(level=logging.INFO)\n"
        "logging.info('API Key: %s', 'sk-very-secret')\n"
        "print('key sk-very-secret')"
    )
    assert said.count("***") == 2
    assert "sk-very-secret" not in said


def test_keys_reach_the_child_only_with_a_judge(tmp_path):
    ours = {
        "OPENAI_API_KEY": "sk-1",
        "OPENAI_API_BASE": "http://x",
        "HF_TOKEN": "t",
        "PATH": "/bin",
        "SPLIT_THINK": "1",
    }
    assert set(client.environment(ours, tmp_path, judge=False)) & {*ours} == {"PATH"}
    given = client.environment(ours, tmp_path, judge=True)
    assert given["OPENAI_API_KEY"] == "sk-1"
    assert given["LMUData"] == str(tmp_path)


def test_a_child_that_hangs_is_ended_with_all_it_started(other_python, tmp_path):
    started = tmp_path / "pid"
    other_python(f"import os, time\nopen({str(started)!r}, 'w').write(str(os.getpid()))\ntime.sleep(100)")
    with pytest.raises(VlmevalError, match="said nothing for 2 s"):
        list(client.ask({"do": "names"}, seconds=2))
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


def test_stop_ends_a_child_with_all_it_started_at_once(other_python, tmp_path):
    started = tmp_path / "pid"
    other_python(f"import os, time\nopen({str(started)!r}, 'w').write(str(os.getpid()))\ntime.sleep(100)")
    threading.Timer(2, client.stop).start()
    with pytest.raises(client.StoppedError):
        list(client.ask({"do": "names"}, seconds=90))
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


def test_a_child_ends_when_nobody_waits_for_it(lmu):
    process = subprocess.Popen(
        [sys.executable, str(client.SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        env=client.environment(os.environ, lmu.folder, judge=False), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    process.stdin.write(b'{"do": "names"}\n')
    process.stdin.close()  # as when the process that asked is killed
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.stdout.close()
    assert process.returncode == -9


def test_a_data_set_that_is_not_there_is_never_fetched(lmu, tmp_path):
    with pytest.raises(ConfigError, match=r"VizWiz.tsv is not there, and nothing is downloaded here; .*https://"):
        list(client.ask({"do": "prompts", "dataset": "VizWiz", "media": str(tmp_path)}, lmu_data=lmu.folder))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ScreenSpot", "several data sets; name them one by one: ScreenSpot_Mobile, ScreenSpot_Desktop"),
        ("Video-MME_8frame", "is a video benchmark"),
        ("MMDU", "asks in several turns"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(lmu, tmp_path, name, why):
    with pytest.raises(ConfigError, match=why):
        list(client.ask({"do": "prompts", "dataset": name, "media": str(tmp_path)}, lmu_data=lmu.folder))
