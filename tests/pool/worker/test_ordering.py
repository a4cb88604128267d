"""The job with most to read comes first: pictures count by their bytes, texts by their letters."""

import base64

from tests.builders import fake_spec
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.datasets.store import Dataset
from vlmeval_mp.pool.worker import ordering
from vlmeval_mp.runs import submit
from vlmeval_mp.runs.snapshot import read_record


def tsv(path, samples, question="How many?", picture=b""):
    lines = ["index\timage\tquestion\tanswer" if picture else "index\tquestion\tanswer"]
    for number in range(samples):
        image = [base64.b64encode(picture + bytes([number % 256])).decode()] if picture else []
        lines.append("\t".join([str(number), *image, question, "1"]))
    path.write_text("\n".join(lines) + "\n")
    return path


def order(tmp_path, *tsvs):
    jobs = JobsPaths(tmp_path / "jobs")
    paths, _, _ = submit.submit(fake_spec(*tsvs), jobs)
    found = {job.name: job for job in read_record(paths).jobs}
    datasets = {name: Dataset(jobs.datasets / job.folder) for name, job in found.items()}
    return [found[name].dataset for name in ordering.most_to_read_first(found, datasets)]


def test_few_large_pictures_come_before_many_small_ones_and_these_before_texts(tmp_path):
    texts = tsv(tmp_path / "texts.tsv", 900)
    small = tsv(tmp_path / "small.tsv", 300, picture=b"\x89PNG" * 20)
    large = tsv(tmp_path / "large.tsv", 20, picture=b"\x89PNG" * 2000)
    assert order(tmp_path, texts, small, large) == ["large", "small", "texts"]


def test_of_alike_samples_the_larger_job_comes_first_and_equal_ones_as_they_came(tmp_path):
    few, same, many = (tsv(tmp_path / f"{name}.tsv", n) for name, n in (("few", 40), ("same", 40), ("many", 41)))
    assert order(tmp_path, few, same, many) == ["many", "few", "same"]


def test_a_picture_that_is_gone_weighs_nothing(tmp_path):
    path = tmp_path / "gone.tsv"
    path.write_text("index\timage_path\tquestion\tanswer\n0\t/nowhere/a.png\tHow many?\t1\n")
    assert order(tmp_path, path, tsv(tmp_path / "texts.tsv", 2)) == ["texts", "gone"]
