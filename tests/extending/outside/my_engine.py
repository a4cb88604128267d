"""An engine from outside: it says loudly what it was asked."""

from vlmeval_mp.core.errors import refuse_unknown
from vlmeval_mp.core.records import Completion, Notice, Request, TextPart
from vlmeval_mp.engines.base import EngineSpec


class LoudEngine:
    """Answers each request with its last text in capitals, and `mark` behind it."""

    default_window = 8
    whole_videos = False
    notice: Notice | None = None

    def __init__(self, spec: EngineSpec) -> None:
        refuse_unknown("engine 'loud': there is no argument", spec.args, ["mark"])
        self._mark = spec.args.get("mark", "!")

    async def start(self) -> None:
        pass

    async def generate(self, request: Request) -> Completion:
        texts = [part.text for message in request.messages for part in message.parts if isinstance(part, TextPart)]
        return Completion(text=texts[-1].upper() + self._mark)

    async def close(self) -> None:
        pass
