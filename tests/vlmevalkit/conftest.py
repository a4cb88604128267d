"""A small `$LMUData` with made-up files that have the official names and columns."""

import base64
import csv
import io

import pytest
from PIL import Image

from vlmeval_mp.vlmevalkit import client, registry


def jpeg(number):
    """A picture of one colour, as bytes and as a TSV holds it."""
    buffer = io.BytesIO()
    Image.new("RGB", (48, 32), (number * 40 % 256, 90, 30)).save(buffer, "JPEG")
    return buffer.getvalue(), base64.b64encode(buffer.getvalue()).decode()


class LmuData:
    def __init__(self, folder):
        self.folder = folder

    def write(self, name, rows):
        path = self.folder / f"{name}.tsv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
            writer.writeheader()
            writer.writerows(rows)
        return path

    def count_bench(self, samples=4):
        """CountBenchQA: a prompt of its own, scored by a substring; answer i for row i."""
        return self.write("CountBenchQA", [
            {"index": i, "image": jpeg(i)[1], "question": f"How many cats are in picture {i}?", "answer": i}
            for i in range(1, samples + 1)
        ])  # fmt: skip

    def viz_wiz(self, samples=4):
        """VizWiz: ten people's answers in a column that only this set has."""
        return self.write("VizWiz", [
            {"index": i, "image": jpeg(i)[1], "question": f"What is {i}?", "answers": str([f"thing {i}"] * 10)}
            for i in range(1, samples + 1)
        ])  # fmt: skip

    def mmvet(self, samples=3):
        """MMVet: scored by a judge alone."""
        return self.write("MMVet", [
            {"index": i, "image": jpeg(i)[1], "question": f"What is {i}?", "answer": f"thing {i}",
             "category": "rec,ocr,know,gen,spat,math"}
            for i in range(1, samples + 1)
        ])  # fmt: skip


@pytest.fixture
def lmu(tmp_path, monkeypatch):
    folder = tmp_path / "LMUData"
    folder.mkdir()
    monkeypatch.setenv("LMUData", str(folder))
    for name in (client.VARIABLE, "OPENAI_API_BASE", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return LmuData(folder)


@pytest.fixture
def other_python(tmp_path, monkeypatch):
    """A Python for `VLMEVALKIT_PYTHON` that runs `code` at its start."""
    import sys

    def make(code):
        site = tmp_path / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(code)
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nPYTHONPATH="{site}" exec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        monkeypatch.setenv(client.VARIABLE, str(python))
        return python

    yield make
    client.version.cache_clear()
    registry._asked.cache_clear()
