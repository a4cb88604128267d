"""Model classes as a user writes them, for the tests of the vlmevalkit engine."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from PIL import Image


def seen(message: list[dict[str, str]]) -> str:
    """A digest of everything a message shows: texts, pixels of images, bytes of videos."""
    digest = hashlib.sha256()
    for part in message:
        digest.update(f"\0{part['type']}\0".encode())
        if part["type"] == "image":
            digest.update(Image.open(part["value"]).convert("RGB").tobytes())
        else:
            value = part["value"]
            digest.update(Path(value).read_bytes() if part["type"] == "video" else value.encode())
    return digest.hexdigest()


class OneByOne:
    """Has `generate` only; counts tokens as characters, and fails on a text with "poison" in it."""

    def __init__(self, style: str = "digest", shout: bool = False) -> None:
        self.style = style
        self.shout = shout
        self.datasets: list[str | None] = []

    def generate(
        self, message: list[dict[str, str]], dataset: str | None = None, sampling: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        text = " ".join(part["value"] for part in message if part["type"] == "text")
        if "poison" in text or len(text) > 100_000:
            raise ValueError("this sample is poison")
        self.datasets.append(dataset)
        whole = text if self.style == "echo" else seen(message)[:16]
        most = (sampling or {}).get("max_tokens", 512)
        return {
            "prediction": (whole.upper() if self.shout else whole)[:most],
            "finish_reason": "length" if len(whole) > most else "stop",
            "prompt_tokens": len(text),
            "completion_tokens": min(len(whole), most),
        }


class Batched(OneByOne):
    """Has `generate_batch` too, and remembers the sizes it was given."""

    def __init__(self, fits: int = 1000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fits = fits
        self.sizes: list[int] = []

    def generate_batch(
        self, messages: list[list[dict[str, str]]], dataset: str | None = None, sampling: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        self.sizes.append(len(messages))
        if len(messages) > self.fits:
            raise MemoryError(f"{len(messages)} do not fit")
        return [self.generate(message, dataset, sampling) for message in messages]


class Answers:
    """Answers what its table says for a text, of whatever type."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.table = table

    def generate(self, message: list[dict[str, str]]) -> Any:
        return self.table[message[-1]["value"]]


class Silent:
    """Cannot generate."""


class Choosy:
    """Builds its own prompt for one data set, out of the row."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def set_dump_image(self, function: Any) -> None:
        self.dump = function

    def use_custom_prompt(self, dataset: str) -> bool:
        return dataset == "numbers"

    def build_prompt(self, line: Any, dataset: str) -> list[dict[str, str]]:
        self.rows.append(line)
        options = " ".join(f"{letter}={line[letter]}" for letter in "ABCD" if letter in line)
        images = self.dump(line) if "image_path" in line else []
        text = f"{dataset}/{line['index']!r}: {line['question']} {options}"
        return [*({"type": "image", "value": path} for path in images), {"type": "text", "value": text}]

    def generate(self, message: list[dict[str, str]], dataset: str) -> str:
        return "|".join(part["value"] for part in message)


class Watcher:
    """Takes videos as files."""

    VIDEO_LLM = True

    def __init__(self, nframe: int = 8, fps: float = 0) -> None:
        self.nframe: int | None = nframe
        self.fps: float | None = fps

    def generate(self, message: list[dict[str, str]], dataset: str) -> str:
        parts = " ".join(f"{part['type']}:{part['value'].rsplit('/', 1)[-1]}" for part in message[:-1])
        return f"{parts} nframe={self.nframe} fps={self.fps}"


class Exiting:
    def __init__(self) -> None:
        raise SystemExit(-1)

    def generate(self, message: Any) -> str:
        return ""


class Lacking:
    def __init__(self) -> None:
        import no_such_package_at_all  # type: ignore[import-not-found]  # noqa: F401

    def generate(self, message: Any) -> str:
        return ""
