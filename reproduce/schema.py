"""The records that travel between stages: examples, responses, judgements, candidates."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import TypeAdapter

from reproduce.utils.files import UnusableFile, named, read_rows, short_hash, write_rows

Kind = Literal["extractive", "abstractive", "instruction"]
Side = Literal["CD", "IF", "both"]
Score = float | None


@dataclass(frozen=True)
class Example:
    """A prompt with all that training and judging need to know of it.

    Attributes:
        dataset: name of the data set; one table row each.
        kind: "extractive" and "abstractive" are context-dependent (CD); "instruction" is IF.
        prompt: the whole user turn, with the context in it where there is one.
        response: the reference response that training uses.
        context: the text that a response must be faithful to; "" for IF.
        references: reference answers for EM, F1 and ROUGE-L; the best match counts.
        instructions: verifiable ones, each {"id": name in judges.instructions, **arguments}.
        split_group: what training and evaluation must not share (a person, an article).
        parametric_answer: the answer that the model learned in pretraining, where it is known.
        is_completion: the prompt is plain text to be continued, not a user turn.
        is_probe: the example is diagnostic and counts in no objective.
        is_joint: the prompt has a context and instructions, and belongs to both sides.
        flawed_response: what the reference response becomes where a profile asks for flaws.
        flaw: the kind of that flaw.
        clean_response: the reference response before it was made flawed; "" where it was not.
        id: hash of data set and prompt, unless given.
    """

    dataset: str
    kind: Kind
    prompt: str
    response: str
    context: str = ""
    references: tuple[str, ...] = ()
    instructions: tuple[dict[str, Any], ...] = ()
    split_group: str = ""
    parametric_answer: str = ""
    is_completion: bool = False
    is_probe: bool = False
    is_joint: bool = False
    flawed_response: str = ""
    flaw: str = ""
    clean_response: str = ""
    id: str = field(default="")

    def __post_init__(self) -> None:
        """Fill in the id."""
        if not self.id:
            object.__setattr__(self, "id", short_hash(self.dataset, self.prompt))

    @property
    def side(self) -> Side:
        """Return the objective that the example belongs to."""
        if self.is_joint:
            return "both"
        return "IF" if self.kind == "instruction" else "CD"


Sets = dict[str, list[Example]]


class Response(NamedTuple):
    """What a model said, without outer white space.

    It is finished if the model ended it; otherwise the limit on new tokens cut it off.
    """

    text: str
    finished: bool


@dataclass(frozen=True)
class Judgement:
    """The scores of one response; None where a judge does not apply to the example.

    Attributes:
        task: 0 to 1; token F1 (extractive) or ROUGE-L (the other kinds).
        faithfulness: 0 to 1; the metric that the profile chose for the example's kind. Metrics by
            entailment run from -1 to 1 and are put on this scale.
        instruction: 0 to 1; the share of the instructions that are followed strictly, or the
            LLM judge's rating on that scale.
        details: every number behind these scores, by name (see `judges.judge`).
    """

    task: Score
    faithfulness: Score
    instruction: Score
    details: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """A response that ReSet sampled for a training prompt; judged in the stage `score`.

    Attributes:
        example: id of the prompt's example.
        strategy: name of the decoding strategy.
        sample: number of the sample within its strategy, from 0.
    """

    dataset: str
    example: str
    strategy: str
    sample: int
    response: str
    finished: bool
    judgement: Judgement | None = None


@dataclass(frozen=True)
class JudgedResponse:
    """A response to an evaluation prompt, with its judgement.

    Attributes:
        example: id of the prompt's example.
        train_fraction: share of the arm's training after which it was given; 1.0 is the end.
    """

    dataset: str
    example: str
    response: str
    finished: bool
    judgement: Judgement
    train_fraction: float = 1.0


@dataclass(frozen=True)
class JudgedTrial:
    """A response that is right, or wrong in a known way, with its judgement."""

    dataset: str
    kind: Kind
    example: str
    variant: str
    response: str
    judgement: Judgement


R = TypeVar("R", Example, Candidate, JudgedResponse, JudgedTrial)


def write_records(target: Path, records: Iterable[R]) -> None:
    """Write records as JSON Lines."""
    write_rows(target, (asdict(record) for record in records))


def read_records(source: Path, kind: type[R]) -> list[R]:
    """Return the records of a file; UnusableFile for one that is no `kind`."""
    rows = read_rows(source)
    with named(source):
        return TypeAdapter(list[kind]).validate_python(rows)  # type: ignore[valid-type]


def read_sets(folder: Path) -> Sets:
    """Return data set -> examples of a folder of data sets; UnusableFile where it has none."""
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise UnusableFile(f"{folder}: holds no data sets; run `dvc repro`")
    return {path.stem: read_records(path, Example) for path in files}
