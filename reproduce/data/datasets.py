"""Real text: rows of pinned files or of the Hugging Face Hub as examples, split and sampled."""

import heapq
import itertools
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from reproduce.config import TextSet
from reproduce.data.constraints import can_need_content, constrain
from reproduce.data.overlap import dedup_keys, overlap, training_ngrams
from reproduce.data.parsers import FORMATS, Parser, Row, Skipped, own_row
from reproduce.download import fetch, hub_error
from reproduce.schema import Example, Sets
from reproduce.utils.files import UnusableFile, short_hash

Part = Literal["train", "evaluation"]
Limits = Mapping[str, int]
Pools = dict[str, tuple[list[Example], list[Example]]]
"""Data set -> the examples that training and evaluation may sample."""

EVALUATION_SHARE = 0.3
"""Share of the groups of a data set that are kept for evaluation."""

MAX_INVALID = 0.1
"""Share of the rows of a source that may be invalid; with more, its format is another one."""

WORDS_PER_UNIT = {
    "num_words": 1, "num_sentences": 10, "num_paragraphs": 20, "num_sections": 20, "num_bullets": 5,
}  # fmt: skip
"""Argument of IFEval's instructions -> how many words, at least, a short unit of it has."""


def asked_words(instructions: Sequence[Mapping[str, Any]]) -> int:
    """Return about how many words a response needs to follow all of IFEval's instructions.

    It is what the one that needs most asks for, by `WORDS_PER_UNIT`, or by a prompt to repeat.
    """
    needed = [
        words * (instruction.get(key) or 0)
        for instruction in instructions
        if instruction.get("relation") not in ("less than", "at most")
        for key, words in WORDS_PER_UNIT.items()
    ]
    repeated = [len((each.get("prompt_to_repeat") or "").split()) for each in instructions]
    return max([*needed, *repeated], default=0)


LENGTHS: Mapping[str, Callable[[Example], int]] = {
    "context_words": lambda example: len(example.context.split()),
    "response_words": lambda example: len(example.response.split()),
    "prompt_bytes": lambda example: len(example.prompt.encode()),
    "asked_words": lambda example: asked_words(example.instructions),
}
"""Limit of a data set -> the length that it bounds; the response is the reference response."""


@dataclass(frozen=True)
class PinnedSet:
    """A data set in files of manifest.yaml, by what these may serve for.

    The groups of the files in `split` are divided between training and evaluation. A set that is
    `joint_of` another one is for evaluation: other questions on the other's passages, each with
    instructions.
    """

    format: str
    split: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    evaluation: tuple[str, ...] = ()
    joint_of: str = ""

    @property
    def can_train(self) -> bool:
        """Return whether training may use it; otherwise its responses may be missing."""
        return bool(self.split or self.train) and not self.joint_of


PINNED_SETS: Mapping[str, PinnedSet] = {
    "squad": PinnedSet("squad", split=("squad-dev",)),
    "squad-joint": PinnedSet("squad", split=("squad-dev",), joint_of="squad"),
    "adversarial-qa": PinnedSet(
        "t0-adversarial-qa",
        split=("adversarial-qa-dbert", "adversarial-qa-dbidaf", "adversarial-qa-droberta"),
    ),
    "dialogsum": PinnedSet("dialogsum", train=("dialogsum-dev",), evaluation=("dialogsum-test",)),
    "xsum": PinnedSet("t0-summarize", split=("xsum",)),
    "samsum": PinnedSet("t0-summarize", split=("samsum",)),
    "alpaca": PinnedSet("alpaca", split=("alpaca-demo",)),
    "self-instruct": PinnedSet("seed-tasks", split=("self-instruct-seeds",)),
    "user-oriented": PinnedSet("seed-tasks", evaluation=("user-oriented",)),
    "vicuna": PinnedSet("mt-bench", evaluation=("vicuna-bench",)),
    "mt-bench": PinnedSet("mt-bench", evaluation=("mt-bench",)),
    "ifeval": PinnedSet("ifeval", evaluation=("ifeval",)),
}
"""The data sets that `data.real.sets` may name."""


@dataclass
class Counts:
    """What became of the rows of one data set.

    Attributes:
        rows: rows that were read; once, also where both sides read one split.
        left_out: rule -> rows that it leaves out (parsers.Skipped).
        invalid: rows that are not in their format, or that cannot be read.
        too_long: examples beyond the limits on length.
        shared: training examples left out because evaluation has their group or text.
        repeated: examples whose prompt occurred before; their references are joined to the first.
        train, evaluation: examples that were sampled.
        overlap: share of the evaluation examples with an n-gram of a training example.
    """

    dataset: str
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    invalid: int = 0
    too_long: int = 0
    shared: int = 0
    repeated: int = 0
    train: int = 0
    evaluation: int = 0
    overlap: float = 0.0

    def columns(self) -> dict[str, Any]:
        """Return the counts as a row of a table; `left_out` as "4 truncated context, ..."."""
        rules = ", ".join(f"{n} {rule}" for rule, n in sorted(self.left_out.items()))
        return {**asdict(self), "left_out": rules}


def describe(counts: Counts) -> str:
    """Return the counts that are not 0 as text."""
    return ", ".join(f"{key.replace('_', ' ')} {n}" for key, n in counts.columns().items() if n)


RealText = tuple[Sets, Sets, list[Counts]]
"""Training sets, evaluation sets, and the counts of each data set."""


def pinned_sets(sets: Mapping[str, Limits], seed: int) -> RealText:
    """Return a random sample of pinned data sets, of at most as many examples as `sets` says.

    No group, context or prompt (before its constraints) is on both sides, across all of `sets`.
    IF prompts without instructions get some, and so do those of joint sets. The limit "draws" lets
    a training prompt occur as many times, with other instructions. The split is the same for every
    seed. Raises UnusableFile for a file that cannot be had, or with too many invalid rows.
    """
    pools, counts = pinned_pools(sets)
    train: Sets = {}
    evaluation: Sets = {}
    for name, (train_pool, evaluation_pool) in pools.items():  # "squad" before "squad-joint".
        asked = {e.prompt for e in evaluation.get(PINNED_SETS[name].joint_of, [])}
        evaluation_pool = [e for e in evaluation_pool if e.prompt not in asked]
        train[name] = _sample("train", train_pool, sets[name], seed, counts[name])
        evaluation[name] = _sample("evaluation", evaluation_pool, sets[name], seed, counts[name])
    _count(counts, train, evaluation)
    return train, evaluation, list(counts.values())


def pinned_pools(sets: Mapping[str, Limits]) -> tuple[Pools, dict[str, Counts]]:
    """Return the pools of pinned data sets, sorted by name, and the counts of their rows."""
    counts = {name: Counts(name) for name in sorted(sets)}
    pools: Pools = {}
    for name in counts:
        source = PINNED_SETS[name]
        divided = _read(source.split, source.format, counts[name])
        hashes = sorted({_group_hash(example) for example in divided})
        held_out = set(hashes[: round(EVALUATION_SHARE * len(hashes))])
        train = [e for e in divided if source.can_train and _group_hash(e) not in held_out]
        evaluation = [example for example in divided if _group_hash(example) in held_out]
        train += _read(source.train, source.format, counts[name])
        evaluation += _read(source.evaluation, source.format, counts[name])
        pools[name] = train, list(_usable(evaluation, sets[name], set(), counts[name]))
    keys = {key for _, evaluation in pools.values() for e in evaluation for key in dedup_keys(e)}
    for name, (train, evaluation) in pools.items():
        train = list(_usable(train, sets[name], keys, counts[name]))
        pools[name] = _distinct(train, counts[name]), _distinct(evaluation, counts[name])
    return pools, counts


def text_sets(sets: Mapping[str, TextSet], seed: int, verifiable: bool = False) -> RealText:
    """Return a sample of own data sets or of the Hugging Face Hub, of as many examples as they say.

    Rows are read as a stream, so memory holds only the sample and a number per prompt. The sample
    does not depend on the order of the rows: it is the examples whose id, hashed with `seed`,
    comes first. Evaluation is sampled first; training examples that share a group, a context or a
    prompt with it are left out. With `verifiable`, instructions that have none get constraints.

    Raises UnusableFile for a data set that cannot be had, with too many invalid rows, or with
    fewer examples than its counts ask for.
    """
    counts = {name: Counts(name) for name in sorted(sets)}
    evaluation: Sets = {}
    train: Sets = {}
    for name in counts:
        evaluation[name] = _first_hashed(name, "evaluation", sets[name], seed, set(), counts[name])
    keys = {key for examples in evaluation.values() for e in examples for key in dedup_keys(e)}
    for name in counts:
        train[name] = _first_hashed(name, "train", sets[name], seed, keys, counts[name])
    _count(counts, train, evaluation)
    if verifiable:
        for part, part_sets in (("train", train), ("eval", evaluation)):
            for name, examples in part_sets.items():
                part_sets[name] = [
                    constrain(e, random.Random(f"{seed}/{part}/{e.id}")) for e in examples
                ]
    return train, evaluation, list(counts.values())


def file_rows(path: Path) -> Iterator[Row | ValueError]:
    """Yield the rows of a file: JSON Lines, a JSON array, or the questions of SQuAD.

    A line that cannot be read gives its error. Raises UnusableFile for a file of another kind.
    """
    try:
        if path.suffix == ".jsonl":
            with path.open("rb") as stream:
                for number, line in enumerate(stream, 1):
                    # Only line feeds end a row: strings may hold U+2028.
                    if line.strip():
                        yield _json_row(line, f"{path.name}, line {number}")
            return
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        for row in content["data"] if isinstance(content, dict) else content:
            if "paragraphs" not in row:
                yield row
                continue
            for paragraph in row["paragraphs"]:
                for question in paragraph["qas"]:
                    yield {"title": row["title"], "context": paragraph["context"], **question}
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise UnusableFile(f"{path}: unreadable ({type(error).__name__}: {error})") from error


def _json_row(line: bytes, place: str) -> Row | ValueError:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return ValueError(f"{place}: {error}")
    return row if isinstance(row, dict) else ValueError(f"{place}: not a JSON object")


def _local_files(settings: TextSet, part: Part) -> list[Path]:
    """Return the JSON files of a split in a local folder, [] where it has none."""
    folder, split = Path(settings.repo), getattr(settings, part)
    patterns = (settings.files or {}).get(split, [f"{split}*", f"data/{split}*", f"{split}/*"])
    try:
        paths = [path for p in ([patterns] if isinstance(patterns, str) else patterns)
                 for path in sorted(folder.glob(p))]  # fmt: skip
    except (ValueError, NotImplementedError) as error:
        raise UnusableFile(f"{folder}: files.{split}: {error}") from error
    return [path for path in paths if path.suffix in (".json", ".jsonl")]


def set_rows(settings: TextSet, part: Part) -> Iterator[Row | ValueError]:
    """Yield the rows of a split as a stream; raise UnusableFile where they cannot be had."""
    if paths := _local_files(settings, part):
        yield from itertools.chain.from_iterable(map(file_rows, paths))
        return
    from datasets import load_dataset

    repo, revision, files = settings.repo, settings.revision, settings.files
    options = {"split": getattr(settings, part), "streaming": True}
    try:
        if "://" in repo:
            prefix = f"{repo}/{revision}" if revision else repo
            files = {
                name: [f"{prefix}/{p}" for p in ([paths] if isinstance(paths, str) else paths)]
                for name, paths in (files or {}).items()
            }
            stream = load_dataset("json", data_files=files, **options)
        else:
            options |= {"data_files": files, "revision": revision}
            stream = load_dataset(repo, settings.config, **options)
        yield from stream
    except Exception as error:
        raise hub_error(repo, revision, error) from error


def parse_rows(
    rows: Iterable[Row | ValueError], source: str, row_format: str, counts: Counts,
    parser: Parser | None = None,
) -> Iterator[Example]:  # fmt: skip
    """Yield the examples in the rows of a source, and count the rows.

    Raises UnusableFile, with the first invalid row, when more than one row and MAX_INVALID of them
    are invalid, or when there is none.
    """
    parser = parser or FORMATS[row_format][1]
    total, invalid, first = 0, 0, "none"
    for total, row in enumerate(rows, 1):
        counts.rows += 1
        try:
            if isinstance(row, ValueError):
                raise row
            example = parser(counts.dataset, row)
            # Half of a surrogate pair is no text.
            "".join((example.prompt, example.context, *example.references)).encode()
        except Skipped as skipped:
            counts.left_out[skipped.args[0]] += 1
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            invalid += 1
            counts.invalid += 1
            first = f"row {total} ({error!r})" if invalid == 1 else first
        else:
            yield example
    if invalid > max(1, MAX_INVALID * total) or invalid == total:
        raise UnusableFile(
            f"{source}: {invalid} of {total} rows are not in the format '{row_format}', but at "
            f"most {MAX_INVALID:.0%} may be invalid; the first: {first}"
        )


def _read(files: Iterable[str], row_format: str, counts: Counts) -> list[Example]:
    examples: list[Example] = []
    for path in map(fetch, files):
        examples += parse_rows(file_rows(path), str(path), row_format, counts)
    return examples


def _usable(
    examples: Iterable[Example], limits: Mapping[str, Any], keys: Collection[str], counts: Counts
) -> Iterator[Example]:
    """Yield examples within the limits that have no key in `keys`."""
    for example in examples:
        lengths = ((limits.get(key), length(example)) for key, length in LENGTHS.items())
        if any(limit is not None and length > limit for limit, length in lengths):
            counts.too_long += 1
        elif dedup_keys(example).isdisjoint(keys):
            yield example
        else:
            counts.shared += 1


def _distinct(examples: list[Example], counts: Counts) -> list[Example]:
    """Return one example per prompt, with the references of all."""
    # The first example of a prompt, where its last one was: the random samples rest on this order.
    distinct: dict[str, Example] = {}
    for example in reversed(examples):
        distinct[example.id] = _joined(example, distinct.get(example.id))
    counts.repeated += len(examples) - len(distinct)
    return list(distinct.values())[::-1]


def _joined(example: Example, other: Example | None) -> Example:
    """Return an example that also has the references of another one with its prompt."""
    more = other.references if other and example.side == "CD" else ()
    return replace(example, references=tuple(dict.fromkeys((*example.references, *more))))


def _distinct_stream(
    examples: Iterable[Example], counts: Counts, repeated: dict[str, Example]
) -> Iterator[Example]:
    """Yield the first example of each prompt, and keep what joins the others in `repeated`."""
    seen: set[int] = set()
    for example in examples:
        number = int(example.id, 16)
        if number not in seen:
            seen.add(number)
            yield example
        else:
            counts.repeated += 1
            repeated[example.id] = _joined(example, repeated.get(example.id))


def _sample(
    part: Part, pool: list[Example], limits: Limits, seed: int, counts: Counts
) -> list[Example]:
    source = PINNED_SETS[counts.dataset]
    rng = random.Random(f"{seed}/{counts.dataset}/{part}")
    if source.can_train:
        fitting = [e for e in pool if e.side == "CD" or can_need_content(e)]
        if len(fitting) < len(pool):
            counts.left_out["response that fits no instruction"] += len(pool) - len(fitting)
        pool = fitting * (limits.get("draws", 1) if part == "train" else 1)
    sample = rng.sample(pool, min(limits.get(part, 0), len(pool)))
    made = [constrain(replace(e, is_joint=bool(source.joint_of)), rng, not source.can_train)
            for e in sample]  # fmt: skip
    return list({example.id: example for example in made}.values())


def _first_hashed(
    name: str, part: Part, settings: TextSet, seed: int, keys: Collection[str], counts: Counts
) -> list[Example]:
    count = settings.counts.get(part)
    if getattr(settings, part) is None:
        return []
    # Where training will read the same split, the rows are counted then.
    divided = settings.train == settings.evaluation
    again = divided and part == "evaluation"
    rows = tqdm(set_rows(settings, part), f"reading {name}, {part}", disable=None)
    examples = parse_rows(
        rows, settings.repo, settings.layout or "own", Counts(name) if again else counts,
        partial(own_row, settings, trains=part == "train") if settings.kind else None,
    )  # fmt: skip
    if divided:
        # A stream cannot rank its groups, so the share is one of the range of the hash.
        limit = EVALUATION_SHARE * 16**12
        examples = (e for e in examples if (_group_hash(e) < limit) == (part == "evaluation"))
    repeated: dict[str, Example] = {}
    usable = _distinct_stream(_usable(examples, dict(settings), keys, counts), counts, repeated)
    wanted = sys.maxsize if count is None else count
    sample = heapq.nsmallest(wanted, usable, key=lambda e: short_hash(str(seed), part, e.id))
    if len(sample) < (count or 1):
        raise UnusableFile(
            f"{settings.repo}: data.sets.{name}.counts.{part} is {count or 'not set'}, but only "
            f"{len(sample)} examples are usable ({describe(counts)})"
        )
    return [_joined(example, repeated.get(example.id)) for example in sample]


def _group_hash(example: Example) -> int:
    return int(short_hash(example.split_group), 16)


def _count(counts: Mapping[str, Counts], train: Sets, evaluation: Sets) -> None:
    ngrams = training_ngrams(train.values())
    for name, row in counts.items():
        row.train, row.evaluation = len(train[name]), len(evaluation[name])
        row.overlap = overlap(evaluation[name], ngrams)
