"""The one record that every data set is turned into, whatever world it comes from."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from reproduce.utils.files import checked, read_rows, text_id, write_rows

Kind = Literal["extractive", "abstractive", "instruction"]
Side = Literal["CD", "IF"]


@dataclass(frozen=True)
class Example:
    """A prompt with all that training and judging need to know of it.

    Attributes:
        dataset: name of the data set, one table row each.
        kind: "extractive" and "abstractive" are context-dependent (CD); "instruction" is IF.
        prompt: the whole user turn, with the context in it where there is one.
        response: the gold response that training uses.
        context: the text that the response must be faithful to; "" for IF.
        references: gold answers for EM, F1 and ROUGE-L; the best match counts.
        instructions: verifiable ones, each {"id": name in judges.instructions, **arguments}.
        group: what train and evaluation must not share (a person, an article).
        memory: the answer that the model learned in pretraining, where it is known.
        raw: the prompt is text to be continued, not a user turn.
        probe: the example answers a question about mechanism and counts in no objective.
    """

    dataset: str
    kind: Kind
    prompt: str
    response: str
    context: str = ""
    references: tuple[str, ...] = ()
    instructions: tuple[dict[str, Any], ...] = ()
    group: str = ""
    memory: str = ""
    raw: bool = False
    probe: bool = False
    id: str = field(default="")

    def __post_init__(self) -> None:
        """Name the example after its data set and prompt where no name is given."""
        if not self.id:
            object.__setattr__(self, "id", text_id(self.dataset, self.prompt))

    @property
    def side(self) -> Side:
        """Return the objective that the example belongs to."""
        return "IF" if self.kind == "instruction" else "CD"


Sets = dict[str, list[Example]]


def write_examples(target: Path, examples: Iterable[Example]) -> None:
    """Write examples as JSON Lines."""
    write_rows(target, (asdict(example) for example in examples))


def read_examples(source: Path) -> list[Example]:
    """Return the examples of a file made by `write_examples`."""
    return [example_of(row) for row in read_rows(source)]


def read_sets(folder: Path) -> Sets:
    """Return data set -> examples of a folder of data sets, checked to be whole."""
    files = sorted(checked(folder).glob("*.jsonl"))
    return {path.stem: read_examples(path) for path in files}


def example_of(row: dict[str, Any]) -> Example:
    """Return the example whose fields are in `row`, as JSON keeps them."""
    tuples = {key: tuple(row[key]) for key in ("references", "instructions")}
    return Example(**{**row, **tuples})
