"""The error of an engine that cannot get a hub id's weights: a missing dependency, so no new start can help.

Knows the exceptions of huggingface_hub by their names only, so that it imports nothing.
"""

from __future__ import annotations

from vlmeval_mp.core.errors import DependencyError

ABSENT = frozenset({"LocalEntryNotFoundError", "OfflineModeIsEnabled", "IncompleteSnapshotError"})
"""The hub could not be asked, and the local cache has not got it all."""
UNKNOWN = frozenset({"RepositoryNotFoundError", "GatedRepoError", "RevisionNotFoundError", "HFValidationError"})
"""The hub was asked, and gives no such weights to us."""


def missing(model: str, error: BaseException) -> DependencyError | None:
    """Return what to say where `error`, or what it came from, is the hub's about `model`.

    None where it is another matter.
    """
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        kinds = {kind.__name__ for kind in type(at).__mro__}
        if kinds & ABSENT:
            return DependencyError(absent(model))
        if kinds & UNKNOWN and model.startswith(("/", ".", "~")):
            return DependencyError(f"there is no folder {model}; give the folder of the weights, or a hub id")
        if kinds & UNKNOWN:
            return DependencyError(
                f"the hub gives no weights for {model!r} ({type(at).__name__}): check the name, or log in with: "
                "hf auth login"
            )
        at = at.__cause__ or at.__context__
    return None


def absent(model: str) -> str:
    """Return the next step where weights are neither here nor to be fetched."""
    return (
        f"the weights of {model!r} are not on this machine and the hub cannot be reached (or HF_HUB_OFFLINE is set); "
        f"fetch them with: hf download {model}  or give their folder"
    )
