"""Data sets of a hub at a commit, read as a stream and sampled."""

import heapq
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from reproduce.config import HubSet
from reproduce.config.pins import address, is_address, listed
from reproduce.data import layouts
from reproduce.data.constraints import constrain_gold
from reproduce.data.overlap import held_out_group, marks, overlap, seen_runs
from reproduce.data.rows import fits, refuse_unread
from reproduce.schema import Example, Sets
from reproduce.snapshot import unreachable
from reproduce.utils.files import UnusableFile, text_id
from reproduce.utils.progress import told

Part = Literal["train", "evaluation"]
Row = Mapping[str, Any]


@dataclass
class Tally:
    """What became of the rows of one data set; see `hub_examples`."""

    rows: int = 0
    left_out: int = 0
    refused: int = 0
    too_long: int = 0
    shared: int = 0
    repeated: int = 0
    first_refused: str = field(default="", repr=False)


def hub_examples(
    sets: Mapping[str, HubSet], seed: int, verifiable: bool
) -> tuple[Sets, Sets, list[dict[str, Any]]]:
    """Return (train sets, evaluation sets, one row of counts each).

    Rows are read as a stream, so memory holds what is kept and a mark of each prompt that was
    seen. What is kept does not depend on the order of the rows: the examples whose name, hashed
    with `seed`, comes first. Evaluation is chosen first; a training row that shares a group, a
    context or a prompt with it is left out. With `verifiable`, instructions get constraints that
    a program can check and that the gold response meets.

    Counts of rows: "rows" read, "left_out" by rule (see `layouts`), "refused" for not being in
    their layout, "too_long", "shared" (left out of train because evaluation has it), "repeated";
    then "train" and "evaluation", what is returned, and "overlap" as in sources.build.

    Raises UnusableFile naming a data set that cannot be had, with too many rows refused, or with
    fewer examples than its counts ask for.
    """
    tallies = {name: Tally() for name in sorted(sets)}
    held_out = {n: _chosen(n, sets[n], "evaluation", seed, tallies[n], set()) for n in tallies}
    taken = {mark for found in held_out.values() for each in found for mark in marks(each)}
    train = {n: _chosen(n, sets[n], "train", seed, tallies[n], taken) for n in tallies}
    seen = seen_runs(train.values())
    counts = []
    for name, tally in tallies.items():
        _refuse_bad(name, sets[name], tally, train[name], held_out[name])
        told_of = {key: value for key, value in vars(tally).items() if key != "first_refused"}
        sizes = {"train": len(train[name]), "evaluation": len(held_out[name])}
        shared = {"overlap": overlap(held_out[name], seen)}
        counts.append({"dataset": name, **told_of, **sizes, **shared})
    if verifiable:
        train, held_out = _constrained(train, "train", seed), _constrained(held_out, "eval", seed)
    return train, held_out, counts


def _constrained(sets: Sets, part: str, seed: int) -> Sets:
    return {
        name: [
            constrain_gold(each, random.Random(f"{seed}/{part}/{each.id}"))
            if each.side == "IF" else each
            for each in found
        ]
        for name, found in sets.items()
    }  # fmt: skip


def _chosen(
    name: str, settings: HubSet, part: Part, seed: int, tally: Tally, taken: set[str]
) -> list[Example]:
    """Return the examples of one side, the same whatever the order of the rows."""
    count = settings.counts.get(part, 0)
    if not count:
        return []
    divided = settings.train == settings.evaluation
    offered = (
        each
        for each in _distinct(_examples(name, settings, part, tally), tally)
        if not divided or held_out_group(each.group) == (part == "evaluation")
    )
    return heapq.nsmallest(
        count,
        _apart(offered, taken, tally),
        key=lambda each: text_id(str(seed), part, each.id),
    )


def _apart(examples: Iterator[Example], taken: set[str], tally: Tally) -> Iterator[Example]:
    for each in examples:
        if marks(each) & taken:
            tally.shared += 1
        else:
            yield each


def _distinct(examples: Iterator[Example], tally: Tally) -> Iterator[Example]:
    seen: set[int] = set()
    for each in examples:
        mark = int(each.id, 16)
        if mark in seen:
            tally.repeated += 1
        else:
            seen.add(mark)
            yield each


def _examples(name: str, settings: HubSet, part: Part, tally: Tally) -> Iterator[Example]:
    for row in told(_rows(settings, str(getattr(settings, part))), f"reading {name}, {part}"):
        tally.rows += 1
        try:
            found = layouts.example(settings.layout, name, row)
        except layouts.LeftOut:
            tally.left_out += 1
            continue
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            tally.refused += 1
            tally.first_refused = tally.first_refused or f"{type(error).__name__}: {error}"
            continue
        bounds = settings.context_words, settings.response_words, settings.prompt_bytes
        if fits(found, *bounds):
            yield found
        else:
            tally.too_long += 1


def _rows(settings: HubSet, split: str) -> Iterator[Row]:
    """Yield the rows of a split as a stream; raise UnusableFile where they cannot be had."""
    import itertools

    from datasets import load_dataset

    repo, options = settings.repo, {"split": split, "streaming": True}
    try:
        if is_address(repo):
            files = {
                part: [address(repo, settings.revision, path) for path in listed(paths)]
                for part, paths in (settings.files or {}).items()
            }
            stream = load_dataset("json", data_files=files, **options)
        else:
            pinned = {"revision": settings.revision} if settings.revision else {}
            stream = load_dataset(
                repo, settings.config, data_files=settings.files, **pinned, **options
            )
        yield from itertools.islice(stream, settings.rows)
    except UnusableFile:
        raise
    except Exception as error:
        raise unreachable(repo, settings.revision, error) from error


def _refuse_bad(
    name: str, settings: HubSet, tally: Tally, train: list[Example], held_out: list[Example]
) -> None:
    fault = f"are not in the layout '{settings.layout}' (data.hub.sets.{name})"
    refuse_unread(settings.repo, tally.refused, tally.rows, fault, tally.first_refused)
    for part, found in (("train", train), ("evaluation", held_out)):
        wanted = settings.counts.get(part, 0)  # type: ignore[call-overload]
        if len(found) < wanted:
            raise UnusableFile(
                f"{settings.repo}: {len(found)} examples for {part}, but data.hub.sets.{name}."
                f"counts.{part} asks for {wanted}; ask for fewer, or widen its bounds"
            )
