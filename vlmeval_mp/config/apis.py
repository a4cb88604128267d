"""VLMEvalKit's API classes that use OpenAI's protocol, and their translation for the openai engine.

`APIS` has one line per class, with the defaults of ms-vlmeval 0.0.20's constructor; `API_MODELS` one per model name.
Pure: the environment is passed in, and only addresses are read from it. A key in an entry is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from vlmeval_mp.config.entries import Object, Switch, Text
from vlmeval_mp.core import credentials
from vlmeval_mp.core.convert import convert, keys
from vlmeval_mp.core.errors import ConfigError, refuse_unknown
from vlmeval_mp.core.records import Json


@dataclass(frozen=True, slots=True)
class Api:
    """A class: where it asks (`base_env` names a variable that says otherwise), where its key is, and its defaults."""

    key_env: str
    base: str = ""
    base_env: str = ""
    max_tokens: int = 2048
    temperature: float = 0.0
    timeout: float = 300
    detail: str = ""
    model: str = ""
    prompt: str = ""


_OPENAI = Api("OPENAI_API_KEY", "https://api.openai.com/v1", "OPENAI_API_BASE", detail="low")
_LMDEPLOY = Api("LMDEPLOY_API_KEY", "", "LMDEPLOY_API_BASE", 16384, timeout=120)
_DASHSCOPE = "https://dashscope.aliyuncs.com/compatible-mode/v1"

APIS: dict[str, Api] = {
    "GPT4V": _OPENAI,
    "OpenAIWrapper": _OPENAI,
    "CustomAPIModel": _OPENAI,
    "LMDeployAPI": _LMDEPLOY,
    "LMDeployWrapper": _LMDEPLOY,
    "QwenVLAPI": Api("DASHSCOPE_API_KEY", _DASHSCOPE, model="qwen-vl-plus"),
    "QwenVLWrapper": Api("DASHSCOPE_API_KEY", _DASHSCOPE, model="qwen-vl-plus"),
    "Qwen2VLAPI": Api("DASHSCOPE_API_KEY", _DASHSCOPE, "", 1024, 0.01, model="qwen-vl-max-0809", prompt="qwen2_vl"),
    "SiliconFlowAPI": Api("SiliconFlow_API_KEY", "https://api.siliconflow.cn/v1", "", 1280, timeout=60),
    "TogetherAPI": Api("TOGETHER_API_KEY", "https://api.together.xyz/v1", "TOGETHER_API_BASE"),
    "MiniMaxAPI": Api("MINIMAX_API_KEY", "https://api.minimax.io/v1", "MINIMAX_API_BASE"),
    "KimiVLAPI": Api("KIMI_VL_API_KEY", "http://localhost:8000/v1", "KIMI_VL_API_BASE", 32768, 0.8, 360),
    "KimiVLAPIWrapper": Api("KIMI_VL_API_KEY", "http://localhost:8000/v1", "KIMI_VL_API_BASE", 32768, 0.8, 360),
}  # fmt: skip

_DRAWN = ("temperature", "top_p", "top_k", "repetition_penalty", "presence_penalty", "seed")


class ApiKwargs(msgspec.Struct, frozen=True):
    """The kwargs of these classes that mean something here. What is `Any` is checked where it ends."""

    model: Text | None = None
    max_tokens: Any = None
    max_new_tokens: Any = None
    system_prompt: Text | None = None
    api_base: Text | None = None
    key: Any = None
    retry: Any = None
    timeout: Any = None
    img_size: Annotated[int, Meta(description="a whole number of pixels")] = -1
    img_detail: Any = None
    local_media: Switch | None = None
    use_custom_prompt: Switch | None = True
    min_p: Any = None
    extra_body: Object | None = None
    use_azure: Switch | None = None
    temperature: Any = None
    top_p: Any = None
    top_k: Any = None
    repetition_penalty: Any = None
    presence_penalty: Any = None
    seed: Any = None


_USED = keys(ApiKwargs)
IGNORED = {
    "verbose": "say --verbose",
    "wait": "the pause before another attempt doubles, or is what the endpoint asks for",
    "use_lmdeploy": "the address says who answers",
    "video_llm": "a video is sent as its frames",
    "total_img_size": "say img_size",
    "max_file_size": "pictures are sent as they are",
    "custom_prompt": "VLMEvalKit's prompt adapters are not here; the data set's prompts are used",
    "min_pixels": "the endpoint decides how a picture is scaled",
    "max_pixels": "the endpoint decides how a picture is scaled; media.max_pixels scales before it is sent",
    "proxy": "export HTTPS_PROXY",
}
NATIVE = ("engine", "engine_args", "sampling", "prompt", "post_process", "reasoning")


def _gpt(model: str, detail: str = "high", size: int = -1, **kwargs: Any) -> Json:
    return {"class": "GPT4V", "model": model, "img_detail": detail, "img_size": size, "retry": 10, **kwargs}


def _gpt5(model: str, timeout: int = 300) -> Json:
    return _gpt(model, retry=3, max_tokens=2**14, timeout=timeout)


API_MODELS: dict[str, Json] = {
    "GPT4V": _gpt("gpt-4-1106-vision-preview", "low", 512),
    "GPT4V_HIGH": _gpt("gpt-4-1106-vision-preview"),
    "GPT4V_20240409": _gpt("gpt-4-turbo-2024-04-09", "low", 512),
    "GPT4V_20240409_HIGH": _gpt("gpt-4-turbo-2024-04-09"),
    "GPT4o": _gpt("gpt-4o-2024-05-13", "low", 512),
    "GPT4o_HIGH": _gpt("gpt-4o-2024-05-13"),
    "GPT4o_20240806": _gpt("gpt-4o-2024-08-06"),
    "GPT4o_20241120": _gpt("gpt-4o-2024-11-20"),
    "ChatGPT4o": _gpt("chatgpt-4o-latest"),
    "GPT4o_MINI": _gpt("gpt-4o-mini-2024-07-18"),
    "gpt-4.1-2025-04-14": _gpt("gpt-4.1-2025-04-14"),
    "gpt-4.1-mini-2025-04-14": _gpt("gpt-4.1-mini-2025-04-14"),
    "gpt-4.1-nano-2025-04-14": _gpt("gpt-4.1-nano-2025-04-14"),
    "gpt-5": _gpt5("gpt-5-2025-08-07", 3000),
    "gpt-5-2025-08-07": _gpt5("gpt-5-2025-08-07", 3000),
    "gpt-5-mini": _gpt5("gpt-5-mini-2025-08-07"),
    "gpt-5-nano": _gpt5("gpt-5-nano-2025-08-07"),
    "gpt-5.1-2025-11-13": _gpt5("gpt-5.1-2025-11-13"),
    "QwenVLPlus": {"class": "QwenVLAPI", "model": "qwen-vl-plus", "retry": 10},
    "QwenVLMax": {"class": "QwenVLAPI", "model": "qwen-vl-max", "retry": 10},
    "QwenVLMax-250408": {"class": "QwenVLAPI", "model": "qwen-vl-max-2025-04-08", "retry": 10},
}


def entry(where: str, class_: str, kwargs: Json, environ: Mapping[str, str], warnings: list[str]) -> Json:
    """Return a model entry of an API class in our own keys. `where` names it in messages.

    Raises:
        ConfigError: a kwarg is unknown or holds a key, the model or its address is missing, or it is Azure's.
    """
    api = APIS[class_]
    given = {key: value for key, value in kwargs.items() if key not in NATIVE}
    credentials.refuse(where, given)
    refuse_unknown(f"{where}: there is no kwarg", given, (*_USED, *IGNORED))
    warnings += [
        f"{where}.{key}: has no effect here; {IGNORED[key]}"
        for key in given
        if key in IGNORED and given[key] not in (None, False, -1)
    ]
    said = convert({key: value for key, value in given.items() if key in _USED}, ApiKwargs, where)
    if said.use_azure:
        raise ConfigError(f'{where}.use_azure: Azure\'s addresses are not asked here; say "engine": "vlmevalkit"')
    model = said.model or api.model
    base = said.api_base or environ.get(api.base_env, "") or api.base
    if not model:
        raise ConfigError(f"{where}.model: is missing; give the name the endpoint knows")
    if not base:
        raise ConfigError(f"{where}.api_base: is missing; give the address, or set ${api.base_env}")
    found: Json = {
        "path": model,
        "engine": "openai",
        "engine_args": _engine_args(api, said, api_base(_OPENAI.base if base == "OFFICIAL" else base)),
        "sampling": {"temperature": api.temperature, "max_tokens": api.max_tokens} | _sampling(said),
    }
    if said.system_prompt:
        found["system_prompt"] = said.system_prompt
    if api.prompt and said.use_custom_prompt:
        found["prompt"] = api.prompt
    native = {key: kwargs[key] for key in NATIVE if key in kwargs}
    for key in ("engine_args", "sampling"):
        if isinstance(native.get(key), dict):
            native[key] = found[key] | native[key]
    return found | native


def api_base(url: str) -> str:
    """Return the base of an endpoint's addresses; `url` may be its address of chat completions, as in VLMEvalKit."""
    return url.rstrip("/").removesuffix("/chat/completions").rstrip("/")


def _engine_args(api: Api, said: ApiKwargs, base: str) -> Json:
    timeout = api.timeout if said.timeout is None else said.timeout
    args: Json = {"base_url": base, "api_key_env": api.key_env, "timeout": timeout}
    if said.retry is not None:
        args["max_retries"] = said.retry
    if detail := api.detail if said.img_detail is None else said.img_detail:
        args["image_detail"] = detail
    if said.img_size > 0:
        args["image_side"] = said.img_size
    if said.local_media:
        args["media"] = "file"
    extra = (said.extra_body or {}) | ({} if said.min_p is None else {"min_p": said.min_p})
    return args | ({"extra_body": extra} if extra else {})


def _sampling(said: ApiKwargs) -> Json:
    drawn = {key: getattr(said, key) for key in _DRAWN if getattr(said, key) is not None}
    longest = said.max_tokens or said.max_new_tokens
    return drawn | ({"max_tokens": longest} if longest else {})
