"""The prompts of ms-vlmeval's image data set classes, and of its model classes over them: asked in JSON, told in JSON.

Asked: a list of data set names; `$LMUData` has a TSV of each. Told, by name: TYPE, official URL and MD5 of its class,
and of each row what the data set builds and what the three model classes build; under `videos`, the MD5s of video TSVs.
A picture is told by its first pixel. The constructors run as they are, but no MD5 is known to them, which would have
them download. Run like `theirs`.
"""

import ast
import importlib
import importlib.util
import json
import os
import string
import sys

from theirs import ROOT, light_import


def prompt_mixin(package, name):
    spec = importlib.util.spec_from_file_location(package, ROOT / "vlm" / package / "prompt.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def internvl(dataset):
    """InternVLChat's prompt methods without the class, whose module needs torch and a GPU."""
    smp = importlib.import_module("vlmeval.smp")
    space = {
        "os": os, "string": string, "pd": importlib.import_module("pandas"), "listinstr": smp.listinstr,
        "cn_string": smp.cn_string, "DATASET_TYPE": dataset.DATASET_TYPE, "DATASET_MODALITY": dataset.DATASET_MODALITY,
    }  # fmt: skip
    folder = ROOT / "vlm" / "internvl"
    functions = [
        node
        for node in ast.parse((folder / "utils.py").read_text()).body
        if getattr(node, "name", "") in ("build_multi_choice_prompt", "reorganize_prompt")
    ]
    body = ast.parse((folder / "internvl_chat.py").read_text()).body
    (chat,) = (node for node in body if getattr(node, "name", "") == "InternVLChat")
    chat.bases, chat.decorator_list = [], []
    chat.body = [n for n in chat.body if getattr(n, "name", "") in ("use_custom_prompt", "build_prompt")]
    exec(compile(ast.Module([*functions, chat], []), "internvl", "exec"), space)
    made = space["InternVLChat"]()
    made._use_custom_prompt, made.use_mpo_prompt, made.use_cot = True, False, False
    return made, space["reorganize_prompt"]


def told(messages):
    return [["image", pixel(m["value"])] if m["type"] == "image" else ["text", m["value"]] for m in messages]


def pixel(path):
    from PIL import Image

    return list(Image.open(path).convert("RGB").getpixel((0, 0)))


def main():
    out, sys.stdout = sys.stdout, sys.stderr
    module = light_import()
    chat, reorganized = internvl(module)
    mixins = {
        "qwen2_vl": prompt_mixin("qwen2_vl", "Qwen2VLPromptMixin")(),
        "qwen3_vl": prompt_mixin("qwen3_vl", "Qwen3VLPromptMixin")(),
    }
    found = {}
    names = json.load(sys.stdin)
    kinds = {n: next(cls for cls in module.DATASET_CLASSES if n in cls.supported_datasets()) for n in names}
    facts = {n: (cls.TYPE, cls.DATASET_URL[n], cls.DATASET_MD5.get(n, "")) for n, cls in kinds.items()}
    for name, kind in kinds.items():
        kind.DATASET_MD5 = {}
        made = kind(dataset=name)
        chat.dump_image = lambda line, dataset, made=made: made.dump_image(line)
        rows = []
        for place in range(len(made)):
            line = made.data.iloc[place]
            row = {"index": str(line["index"]), "dataset": told(made.build_prompt(line))}
            for model, mixin in mixins.items():
                mixin.set_dump_image(made.dump_image)
                custom = mixin.use_custom_prompt(name)
                row[model] = told(mixin.build_prompt(line, dataset=name)) if custom else None
            custom = chat.use_custom_prompt(name)
            messages = chat.build_prompt(line, dataset=name) if custom else []
            count = sum(m["type"] == "image" for m in messages)
            row["internvl"] = reorganized(messages, count, dataset=name) if custom else None
            rows.append(row)
        found[name] = {**dict(zip(("type", "url", "md5"), facts[name], strict=True)), "rows": rows}
    videos = {n: cls for cls in module.VIDEO_DATASET for n in cls.supported_datasets()}
    found["videos"] = {n: getattr(cls, "MP4_MD5", getattr(cls, "MD5", "")) for n, cls in videos.items()}
    json.dump(found, out)


if __name__ == "__main__":
    main()
