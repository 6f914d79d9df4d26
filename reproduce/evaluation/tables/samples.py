"""Responses to read and compare, and what of them may be published."""

import bz2
import itertools
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reproduce.data.overlap import OVERLAP_WORDS, ngrams
from reproduce.evaluation.formatting import quoted_markdown, visible
from reproduce.evaluation.results import PACKED, Results
from reproduce.evaluation.tables.render import Table, TableRow
from reproduce.judges.faithfulness import scored_sentences, statements, summac_zs
from reproduce.judges.task import contains_answer
from reproduce.judges.text import sentences
from reproduce.reset.select import FAITHFUL
from reproduce.schema import Example, JudgedResponse, read_records, read_sets, write_records
from reproduce.study import Study
from reproduce.utils.files import atomic_dir
from reproduce.world.entailment import symbolic_entailment

REMOVED = re.compile(r"\[(\d+) words copied\]")
"""What `without_copies` puts in place of other people's text."""
SCORES = ("task", "faithfulness", "instruction")
SHARES = ("joint_success", "faithful_answer", "prompt_strict", "faithfulness")
"""The first that a response has says whether it is correct: more than FAITHFUL."""
PROMPTS, SEEDS = 30, 3
"""How many prompts per data set, and seeds, `generations` has: enough to read, not too large."""
IN_WORDS = {
    "sentences": "{relation} {n} sentences", "words": "{relation} {n} words", "items": "{n} items",
    "bullets": "{n} bullet points", "numbered": "{n} numbered items",
    "starts_with": "starts with “{phrase}”", "ends_with": "ends with “{phrase}”",
    "includes": "includes {words}", "excludes": "does not mention {words}",
    "alphabetical": "sorted from A to Z", "lowercase": "lower case", "uppercase": "upper case",
    "no_comma": "no comma", "quoted": "in double quotes",
}  # fmt: skip
"""The package's own instructions as readers see them; others are named by id and arguments."""
NOTE = (
    "Prompts and reference responses are other people's text and are left out here, as are "
    f"{OVERLAP_WORDS} or more consecutive words that a response copies from them. "
    "`reproduce summary` writes all of it from the downloaded data."
)


def samples(results: Results, arms: Sequence[str], texts: bool, per_dataset: int = 2) -> str:
    """Return some responses per data set as Markdown, of all arms next to the reference response.

    They are to the first prompts of each set, from the first seed, and not chosen. Without
    `texts`, other people's text is left out.
    """
    parts = [] if texts else [NOTE]
    for dataset, examples in results.sets.items():
        for position, example in enumerate(examples[:per_dataset]):
            lines = [f"### {dataset}, {example.id}"]
            if texts:
                lines += ["Prompt", quoted_markdown(example.prompt)]
                lines += ["Reference response", quoted_markdown(example.response or "(none)")]
            for arm in arms:
                row = results.frame(arm, dataset).iloc[position]
                response = row["response"] if texts else without_copies(row["response"], example)
                scores = [f"{name} {row[name]:.2f}" for name in SCORES if row[name] == row[name]]
                lines.append(f"**{results.labels[arm]}** ({', '.join(scores)})")
                lines.append(quoted_markdown(response))
            parts.append("\n\n".join(lines))
    return "\n\n".join(parts) + "\n"


def generations(results: Results, arms: Collection[str], texts: bool) -> Table:
    """Return final responses of some arms and up to three seeds, to the prompts of `prompts`.

    Without `texts`, other people's text is left out. Next to the scores:

    - correct: 1 if it states the answer and is faithful (questions), is faithful (descriptions)
      and follows all instructions (prompts with instructions); empty where no judge tells;
    - states_memorised: y if it states the memorised value and not the passage's;
    - followed: y or n for each instruction;
    - labels: for each sentence, see `labelled`; only by a judge that is exact.
    """
    by_id, scores = _examples(results), results.scores
    final = scores[
        (scores["train_fraction"] == 1.0)
        & scores["seed"].isin(results.seeds[:SEEDS])
        & scores["arm"].isin(arms)
        & scores["example"].isin(by_id)
    ]
    is_exact = results.study.params.judging.entailment == "symbolic"
    rows: list[TableRow] = []
    for row in final.to_dict("records"):
        example, response = by_id[row["example"]], visible(row["response"])
        stated = [contains_answer(response, answers)
                  for answers in ([example.parametric_answer], example.references)]  # fmt: skip
        shares = [row[name] for name in SHARES if row[name] == row[name]]
        flags = [row[f"followed_{n}"] for n in range(len(example.instructions))]
        rows.append({
            **{name: row[name] for name in ("arm", "seed", "dataset", "example")},
            "response": response if texts else without_copies(response, example),
            **{name: None if row[name] != row[name] else row[name] for name in SCORES},
            "correct": int(shares[0] > FAITHFUL) if shares else None,
            "states_memorised": "y" if stated == [1, 0] else "",
            "followed": "".join("y" if flag else "n" for flag in flags),
            "labels": labelled(example, response) if is_exact and example.context else "",
        })  # fmt: skip
    return Table("generations", rows)


def labelled(example: Example, response: str) -> str:
    """Return what the exact judge says of the sentences of a response: "e0-27 c28-60".

    e, c or n (entailed by the passage, contradicted, neither) with the positions of the first
    character and of the one after the last.
    """
    passage, parts = scored_sentences(example.context), sentences(response)
    labels, end = [], 0
    is_answer = example.kind == "extractive"
    claims = statements(example.prompt, example.context, response) if is_answer else parts
    for part, claim in zip(parts, claims, strict=True):
        start = response.index(part, end)
        end = start + len(part)
        if is_answer or scored_sentences(part):
            (score,) = summac_zs([(passage, [claim])], symbolic_entailment)
            labels.append(f"{'nec'[(score > 0) - (score < 0)]}{start}-{end}")
    return " ".join(labels)


def prompts(results: Results) -> Table:
    """Return the prompts of `generations` in parts: the question is what the passage is not."""
    return Table("prompts", [{
        "dataset": e.dataset, "example": e.id, "passage": visible(e.context),
        "question": visible(e.prompt.replace(e.context, "", 1).strip()),
        "instructions": "\n".join(map(in_words, e.instructions)),
        "reference": visible(e.response), "memorised": visible(e.parametric_answer),
    } for e in _examples(results).values()])  # fmt: skip


def in_words(instruction: Mapping[str, Any]) -> str:
    """Return an instruction as a reader sees it, in one line: "exactly 3 sentences"."""
    values = {key: ", ".join(map(str, value)) if isinstance(value, list) else value
              for key, value in instruction.items() if value is not None}  # fmt: skip
    name = values.pop("id").rpartition(":")[2]
    named = [name.replace("_", " "), *(f"{key.replace('_', ' ')} {{{key}}}" for key in values)]
    form = IN_WORDS.get(name, ", ".join(named))
    return visible(" ".join(form.format_map({"relation": "exactly", "n": ""} | values).split()))


def _examples(results: Results) -> dict[str, Example]:
    """Return id -> example of the first prompts per data set; plain text has no response."""
    return {e.id: e for examples in results.sets.values() for e in examples[:PROMPTS]
            if not e.is_completion}  # fmt: skip


def without_copies(response: str, example: Example, words: int = OVERLAP_WORDS) -> str:
    """Return a response without runs of at least `words` words of other people's text.

    That is the example's prompt, context, reference response and references. A run of n words
    becomes "[n words copied]".
    """
    texts = (example.prompt, example.context, example.response, *example.references)
    sources = set().union(*(ngrams(text, words) for text in texts))
    tokens = response.split()
    copied: set[int] = set()
    for start in range(len(tokens) - words + 1):
        if " ".join(tokens[start : start + words]).casefold() in sources:
            copied.update(range(start, start + words))
    if not copied:
        return response
    parts = []
    for is_copied, group in itertools.groupby(range(len(tokens)), copied.__contains__):
        run = [tokens[position] for position in group]
        parts.append(f"[{len(run)} words copied]" if is_copied else " ".join(run))
    return " ".join(parts)


def export_seed(study: Study, arm: str, seed: int) -> Path:
    """Copy an arm's results of a seed to paper/results and return their folder there.

    Unless the project made the data itself, other people's text is removed from the responses.
    """
    source, target = study.results_dir(arm, seed), study.paper / "results" / arm / f"seed-{seed}"
    responses = read_records(source / "evaluation.jsonl", JudgedResponse)
    if not study.own_texts:
        sets = read_sets(study.artifacts / "data" / "evaluation")
        by_id = {e.id: e for examples in sets.values() for e in examples}
        responses = [
            replace(r, response=without_copies(r.response, by_id[r.example])) for r in responses
        ]
    with atomic_dir(target) as draft:
        for name in ("history.json", "record.json"):
            shutil.copyfile(source / name, draft / name)
        plain = draft / "evaluation.jsonl"
        write_records(plain, responses)
        (draft / PACKED).write_bytes(bz2.compress(plain.read_bytes()))
        plain.unlink()
    return target
