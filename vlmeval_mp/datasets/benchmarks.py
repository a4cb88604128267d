"""The benchmarks of VLMEvalKit with a scorer here, one line each, as ms-vlmeval 0.0.20 has them. Facts.

Of each: what kind of questions it has, the family that scores it (`scoring.families`), how it is asked
(`prompts.TEMPLATES`), and the MD5 of the official file. `vlmevalkit.registry` knows where that file is. Video
benchmarks are in `requests.videosets`; VLMEvalKit's own class asks and scores what is in neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vlmeval_mp.core.records import Kind
from vlmeval_mp.requests.videosets import VIDEO_BENCHMARKS
from vlmeval_mp.scoring.base import EVALUATOR


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`md5` is "" where ms-vlmeval has none either."""

    kind: Kind
    scorer: str
    prompt: str
    md5: str


PICTURED = frozenset({"mmmu-pro-v", "mmmu-pro-v-cot"})
"""Prompts of benchmarks whose question is in the picture; their files need none."""
PLACEHOLDER = "placeholder"
"""The text that VLMEvalKit writes in place of such a question."""


def _choice(md5: str = "", scorer: str = "mcq", prompt: str = "default") -> Benchmark:
    return Benchmark("mcq", scorer, prompt, md5)


def _yes_no(md5: str, scorer: str, prompt: str = "default") -> Benchmark:
    return Benchmark("yorn", scorer, prompt, md5)


def _open(md5: str, scorer: str, prompt: str = "default") -> Benchmark:
    return Benchmark("vqa", scorer, prompt, md5)


BENCHMARKS: dict[str, Benchmark] = {
    # multiple choice, every question asked once for each rotation of its options
    "MMBench_DEV_EN": _choice("b6caf1133a01c6bb705cf753bb527ed8", "circular"),
    "MMBench_TEST_EN": _choice("6939fadb0ce626fefc0bdc9c64efc528", "circular"),
    "MMBench_DEV_CN": _choice("08b8fc3324a5ed74155350f57be69fbd", "circular"),
    "MMBench_TEST_CN": _choice("7e1239baf0ee4c8b513e19705a0f317e", "circular"),
    "MMBench_DEV_KO": _choice("72e1cde9124b5015be6d0dd5c9b5500d", "circular"),
    "MMBench": _choice("4115aea3383f3dd0083be6a633e0f820", "circular"),
    "MMBench_CN": _choice("2e053ffc90ea598b1feae13c36dc13ee", "circular"),
    "MMBench_DEV_EN_V11": _choice("30c05be8f2f347a50be25aa067248184", "circular"),
    "MMBench_TEST_EN_V11": _choice("26f0f15381a21720255091d3e0316ce6", "circular"),
    "MMBench_DEV_CN_V11": _choice("593f9b5f6bea453d870a798b34ae4f37", "circular"),
    "MMBench_TEST_CN_V11": _choice("74bbe4556dac745613c7cbe5ad787050", "circular"),
    "MMBench_V11": _choice("b9276414f57af1308dcc4d0cd9b42e7c", "circular"),
    "MMBench_CN_V11": _choice("95f6980dd1b4de38e3cbffe0305a3f25", "circular"),
    "CCBench": _choice("f5dde47f24dc5a6fb6e595b409b466ac", "circular"),
    "BLINK_circular": _choice("75aee2332420c7654dc51b1442fafc7b", "circular"),
    "MMCR": _choice("9052635f2c3835bdb87755ef73564f5e", "circular"),
    "MMBench_V11_MINI": _choice("", "circular"),
    "MMSIBench_circular": _choice("7be2b9e8a280863272e89fab5ba40807", "circular"),
    "StaticEmbodiedBench_circular": _choice("034cf398a3c7d848d966e1081e4baf68", "circular"),
    "MMBench_dev_ar": _choice("4271b4a0d0200e1a86380a878e0d64a4", "circular"),
    "MMBench_dev_cn": _choice("2ed5135326fed02c8e51ea50dda8222f", "circular"),
    "MMBench_dev_en": _choice("d9ab776fc018b3d45785e9a5c23431c2", "circular"),
    "MMBench_dev_pt": _choice("4ddfbcd27ef12444b908c03831cd0295", "circular"),
    "MMBench_dev_tr": _choice("4fab39d501389d3d6cc90264bb708f11", "circular"),
    "MMBench_dev_ru": _choice("5ba1171ff2e68f80637bf78349e402a5", "circular"),
    # multiple choice
    "SEEDBench_IMG": _choice("68017231464752261a2526d6ca3a10c0"),
    "SEEDBench_IMG_KO": _choice("b354a9ac3493f3ccf294e69b216bfab3"),
    "SEEDBench2": _choice("4ec15cf864c4f16274112284f531813e"),
    "SEEDBench2_Plus": _choice("e32d3216dc4f452b0fe497a52015d1fd"),
    "ScienceQA_VAL": _choice("96320d05e142e585e7204e72affd29f3"),
    "ScienceQA_TEST": _choice("e42e9e00f9c59a80d8a5db35bc32b71f"),
    "AesBench_VAL": _choice("3edb0c319e9187aa0b97fe7a11700a8c"),
    "AesBench_TEST": _choice("58b1f7ba2cc32e1d68896d6ee716bbf8"),
    "Q-Bench1_VAL": _choice("837bdb6cd2da571713543462815187b7"),
    "Q-Bench1_TEST": _choice("15e759bfd58c9d5f30b23a317d347153"),
    "A-Bench_VAL": _choice("218563ec50d34bb336c814143a5bb9c1"),
    "A-Bench_TEST": _choice("567013fb033a20cf23f51d8e865bd16c"),
    "R-Bench-Dis": _choice("d6e961dbfc43350688af2560226830b4"),
    "R-Bench-Ref": _choice("270c1cb555acb523f3fdb178ed57021d"),
    "AI2D_TEST": _choice("0f593e0d1c7df9a3d69bf1f947e71975"),
    "AI2D_TEST_NO_MASK": _choice("fd8f463634d4fe9fbd23b876e8eea5be"),
    "MMStar": _choice("e1ecd2140806c1b1bbf54b43372efb9e"),
    "MMStar_KO": _choice("cc6049c7314bb54b9ac5e247a2bfb357"),
    "MMStar_TR": _choice(),
    "RealWorldQA": _choice("4de008f55dc4fd008ca9e15321dc44b7"),
    "MLLMGuard_DS": _choice("975fc0dd7119386e198c37d71e274b3f"),
    "BLINK": _choice("3b6649b6a662184ea046908e5506260e", "blink"),
    "TaskMeAnything_v1_imageqa_random": _choice("023fef69e2ca21827afb77c5ec3bc889"),
    "A-OKVQA": _choice(),
    "WorldMedQA-V": _choice("441e63875e30c87f5750528b57b41285"),
    "VisOnlyQA-VLMEvalKit": _choice("cf460a31d2acb8d3a7cecd0e69298bfa", "visonlyqa"),
    "K-DTCBench": _choice("fe72a85b010513d3840b5f3be2de6ed3"),
    "MMStar_MINI": _choice(),
    "AI2D_MINI": _choice(),
    "VStarBench": _choice("b18854d7075574be06b631cd5f7d2d6a"),
    "PathMMU_VAL": _choice(),
    "PathMMU_TEST": _choice(),
    "CMMU_MCQ": _choice(),
    "MicroVQA": _choice("d7506438701a2076ec277f8bb3586c1a"),
    "SpatialEval": _choice("4c8eb33142b26be2916fb9164287b72b"),
    "StaticEmbodiedBench": _choice("5c50611650ca966970180a80d49429f0"),
    "MMMB_ar": _choice("f3a18b6385f1d9701840aa42de27aead"),
    "MMMB_cn": _choice("13ed82fa89730037292fcaa27f08f430"),
    "MMMB_en": _choice("1cd781a71ec5a2983c090b84105d6a01"),
    "MMMB_pt": _choice("548ea2b3bb2da991790386f0015d30d1"),
    "MMMB_ru": _choice("ce1cc8a0533425ab0d86b326ebfc2984"),
    "MMMB_tr": _choice("0733739d43090327975294292bc5cd67"),
    "MMMU_DEV_VAL": _choice("585e8ad75e73f75dcad265dfd0417d64", "mmmu", "mmmu"),
    "MMMU_TEST": _choice("c19875d11a2d348d07e5eb4bdf33166d", "mmmu", "mmmu"),
    "MMMU_Pro_10c": _choice("22cee868fe6b680d14b99bfff6db8172", "mmmu", "mmmu-pro"),
    "MMMU_Pro_10c_COT": _choice("22cee868fe6b680d14b99bfff6db8172", "mmmu-cot", "mmmu-pro-cot"),
    "MMMU_Pro_V": _choice("d01441a87b3dbe721b5a04652ae38009", "mmmu", "mmmu-pro-v"),
    "MMMU_Pro_V_COT": _choice("d01441a87b3dbe721b5a04652ae38009", "mmmu-cot", "mmmu-pro-v-cot"),
    # yes or no
    "MME": _yes_no("b36b43c3f09801f5d368627fb92187c3", "mme"),
    "HallusionBench": _yes_no("0c23ac0dc9ef46832d7a24504f2a0c7c", "hallusion"),
    "POPE": _yes_no("c12f5acb142f2ef1f85a26ba2fbe41d5", "pope"),
    "AMBER": _yes_no("970d94c0410916166e0a76ba75da7934", "amber", "amber"),
    "VSR-zeroshot": _yes_no("5ff5e49908ac1cfad35c60b92b001aeb", "vsr"),
    # short answers
    "OCRVQA_TEST": _open("ca46a6d74b403e9d6c0b670f6fc00db9", "exact"),
    "OCRVQA_TESTCORE": _open("c5239fe77db8bdc1f2ad8e55e0d1fe97", "exact"),
    "TextVQA_VAL": _open("b233b31f551bbf4056f2f955da3a92cd", "textvqa"),
    "DocVQA_VAL": _open("d5ee77e1926ff10690d469c56b73eabf", "anls"),
    "DocVQA_TEST": _open("6a2f28cac26ef2d3447374e8c6f6c8e9", "anls"),
    "InfoVQA_VAL": _open("2342e9c225222f0ef4dec545ebb126fe", "anls"),
    "InfoVQA_TEST": _open("df535bf51b88dc9718252c34131a6227", "anls"),
    "ChartQA_TEST": _open("c902e0aa9be5582a7aad6dcf52734b42", "relaxed"),
    "GQA_TestDev_Balanced": _open("99b62f22e224d9b2f32dcbe41359d1c9", "gqa"),
    "OCRBench": _open("e953d98a987cc6e26ef717b61260b778", "ocrbench", "bare"),
    "OCRBench_MINI": _open("", "ocrbench", "bare"),
    # mathematics
    "MathVista_MINI": _open("f199b98e178e5a2a20e7048f5dcb0464", "mathvista", "bare"),
    "MathVision": _open("93f6de14f7916e598aa1b7165589831e", "mathvision", "bare"),
    "MathVision_MINI": _open("060fe4fa5d868987ce179307bd5f8a33", "mathvision", "bare"),
    # by a judge, which VLMEvalKit's evaluator asks
    "MMVet": _open("748aa6d4aa9d4de798306a63718455e3", EVALUATOR, "bare"),
    "MMVet_Hard": _open("63a598819a936a2e77c410a78a21ff16", EVALUATOR, "bare"),
}


def defaults(name: str) -> dict[str, Any]:
    """Return fields of `DataSpec` that the benchmark called `name` wants; none if it is none of these.

    VLMEvalKit's classes leave out the rows whose `image` cell is empty.
    """
    found = BENCHMARKS.get(name)
    if found is None:
        return {}
    return {"type": found.kind, "scorer": found.scorer, "prompt": found.prompt, "skip_noimg": True}


def md5(name: str) -> str:
    """Return the MD5 of the official file of the benchmark called `name`; "" if none is known."""
    found = BENCHMARKS.get(name) or VIDEO_BENCHMARKS.get(name)
    return found.md5 if found else ""
