"""The span reader: what a response must state to score, its training, and its tensors on disk."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from support.classifiers import WORDS, write_classifier
from support.profiles import nano_params

from reproduce.judges.judge import JudgePanel
from reproduce.judges.reader import TOP, Reader, credit
from reproduce.judges.task import normalise
from reproduce.schema import Example
from reproduce.utils.files import UnusableFile
from reproduce.validation.reader_training import ReaderExample, ReaderTraining, train_reader
from reproduce.validation.trials import negate
from reproduce.validation.tuned import load_tuned

QUESTION = "Where does the river rise?"
SPAN = ["norway"]
PASSAGE = "The river rises in Norway. In 1904 the bridge was built by Anna Berg. It is long."
SENTENCES = (
    "Norway", "in Norway.", "The answer is Norway.", "The river does rise in Norway.",
    "According to the passage, it is Norway.",
)  # fmt: skip


@pytest.mark.parametrize("text", SENTENCES)
def test_a_sentence_scores_as_its_short_answer(text: str) -> None:
    assert credit(SPAN, QUESTION, text) == 1


@pytest.mark.parametrize(
    "text",
    ["", "?!", "Finland", "The river does rise.", *map(negate, SENTENCES), "It isn't Norway."],
)
def test_what_does_not_state_the_span_scores_nothing(text: str) -> None:
    assert credit(SPAN, QUESTION, text) == 0


@pytest.mark.parametrize("text", ["Norway, Finland", "Norway or 1904 or Anna Berg", PASSAGE])
def test_more_than_the_span_costs(text: str) -> None:
    assert 0 < credit(SPAN, QUESTION, text) < 0.7


def test_a_part_of_the_span_scores_as_a_part() -> None:
    span = "10th and 11th centuries".split()
    assert credit(span, QUESTION, "the 11th century") == pytest.approx(0.4)
    assert credit(span, QUESTION, "in the 10th and 11th centuries") == 1


def test_words_of_the_question_may_be_the_answer() -> None:
    assert credit(["norman"], "Is it Norman or Saxon?", "Norman") == 1
    assert credit(["norman"], "Is it Norman or Saxon?", "It is not Saxon") == 0
    assert credit(["norman"], "Did Norman kings rule?", "Norman kings ruled England.") < 0.5
    assert credit(["norman", "law"], "Did Norman kings rule?", "Norman kings had land.") == 0
    assert credit(["he"], "Who came first?", "he") == 1
    assert credit(["no", "one"], "Who came?", "No one came.") == 1


@pytest.mark.parametrize("text", ["Malmö", "Malmo\u0308", "“Malmö”", "MALMÖ!"])
def test_unicode_forms_are_one_answer(text: str) -> None:
    assert credit(normalise("Malmö").split(), "Wo?", text) == 1


FACTS = {"river": "red", "bridge": "blue", "lake": "long"}
TEXT = "the river is red . the bridge is blue . the lake is long ."


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a tiny encoder, and the tuned tensors of a reader that knows three facts."""
    folder = tmp_path_factory.mktemp("reader")
    start = write_classifier(folder / "start", labels=("start", "end"), spread=0.1)
    examples = [
        ReaderExample(f"what is the {name}", TEXT, (value,)) for name, value in FACTS.items()
    ]
    settings = ReaderTraining(
        layers=1, windows=((8, 10), (64, 90)), batch_size=6, learning_rate=1e-2
    )
    train_reader(start, examples * 6, settings, folder / "tuned.safetensors")
    return start, folder / "tuned.safetensors"


@pytest.fixture(scope="module")
def trained(folders: tuple[Path, Path]) -> Path:
    """Return the folder of the whole reader."""
    start, tuned = folders
    target = Path(shutil.copytree(start, start.with_name("reader")))
    load_tuned(start, tuned).save_pretrained(target)
    return target


def test_the_reader_finds_the_answer_in_any_form(trained: Path) -> None:
    reader = Reader(trained)
    questions = [f"what is the {name}" for name in FACTS]
    forms = ("{}", "The answer is {}.")
    short, long = (
        reader.score(questions, [TEXT] * 3, [form.format(v) for v in FACTS.values()])
        for form in forms
    )
    assert short == long and min(short) > 0.8 and max(short) <= 1
    others = ["short", *list(FACTS.values())[:2], "red, blue, long", TEXT, ""]
    asked = [questions[0], *questions[1:], *[questions[0]] * 3]
    wrong = reader.score(asked, [TEXT] * 6, others)
    assert max(wrong) < 0.65 and wrong[-1] == 0


def test_a_score_does_not_depend_on_its_neighbours(trained: Path) -> None:
    reader = Reader(trained)
    questions = [f"what is the {word}" for word in WORDS]
    together = reader.score(questions, [TEXT] * len(WORDS), ["red"] * len(WORDS))
    alone = [reader.score([question], [TEXT], ["red"])[0] for question in questions]
    assert together == pytest.approx(alone, abs=1e-6)
    assert reader.score([], [], []) == []


def test_long_passages_are_read_in_windows(trained: Path) -> None:
    reader = Reader(trained)
    passage = "a " * 400 + TEXT
    (spans,) = reader.spans([("what is the river", passage)])
    assert 0 < len(spans) <= TOP and sum(p for p, _ in spans) <= 1 + 1e-6
    assert ["red"] in [span for _, span in spans]
    assert reader.score(["the " * 300], ["[SEP] red [CLS]"], ["red"])[0] > 0
    assert reader.score(["what"], [""], ["red"]) == [0]


def test_the_reader_decides_and_entailment_selects(trained: Path) -> None:
    params = nano_params(judging__extractive="reader")
    prompt = f"{TEXT}\n\nQuestion: what is the river"
    example = Example("qa", "extractive", prompt, "red", TEXT, ("red",))
    summary = Example("s", "abstractive", "Sum up.", "Red is Blue.", TEXT, ("Red.",))
    decides, selects = (JudgePanel(params, trained.parent, selects=s) for s in (False, True))
    answer, told = decides.judge([example, summary], ["red", "red"])
    assert answer.faithfulness == answer.details["reader"] > 0.8 and "reader" not in told.details
    (selected,) = selects.judge([example], ["red"])
    assert selected.faithfulness == (1 + selected.details["entailed"]) / 2


def break_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:900])


def drop_head(path: Path) -> None:
    tensors = load_file(path)
    tensors.pop("qa_outputs.weight")
    save_file(tensors, path)


def rename(path: Path) -> None:
    tensors = load_file(path)
    save_file({**tensors, "other.weight": tensors["qa_outputs.weight"].clone()}, path)


@pytest.mark.parametrize("damage", [Path.unlink, break_file, drop_head, rename])
def test_a_damaged_file_is_named(
    folders: tuple[Path, Path], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    start, tuned = folders
    copy = tmp_path / "mine.safetensors"
    copy.write_bytes(tuned.read_bytes())
    damage(copy)
    with pytest.raises(UnusableFile, match=r"mine\.safetensors: no tuned tensors"):
        load_tuned(start, copy)
