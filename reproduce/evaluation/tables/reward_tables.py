"""Tables of what ReSet and ReSet-S select from the candidates, and of the rewards of these."""

import math
from collections import defaultdict
from functools import cache

import numpy as np
import pandas as pd

from reproduce.config import Selection, Weights
from reproduce.evaluation.formatting import numbered
from reproduce.evaluation.results import RESET, RESET_S, Results
from reproduce.evaluation.tables.render import Table, TableRow
from reproduce.reset.select import (
    candidate_pool,
    complete_candidates,
    is_complete,
    judgement_of,
    reward,
    select,
)
from reproduce.schema import Candidate, Example, read_records

GROUPS = ("prompts", "drawn", "considered", "kept")


def read_selections(results: Results) -> pd.DataFrame:
    """Return what ReSet and ReSet-S select for each seed whose candidates are here.

    Columns are label, seed, group, dataset, reward, with a row per prompt and per candidate of the
    pool ("drawn"; both without a reward), per complete candidate ("considered") and per selected
    one ("kept").
    """
    rows = []
    read = cache(
        lambda folder: (
            read_records(folder / "prompts.jsonl", Example),
            read_records(folder / "candidates.jsonl", Candidate),
        )
    )
    for seed in results.seeds:
        for arm in (RESET, RESET_S):
            if arm not in results.arms:
                continue
            selection = results.arms[arm].select
            assert selection is not None, f"{arm} selects from candidates"
            folder = results.study.artifacts / results.arms[arm].source / f"seed-{seed}"
            if not folder.is_dir():
                continue  # A published seed, made elsewhere.
            prompts, candidates = read(folder)
            complete = complete_candidates(candidates, selection)
            groups = (
                [(example.dataset, math.nan) for example in prompts],
                [(c.dataset, math.nan) for c in candidate_pool(candidates, selection)],
                [(c.dataset, reward(judgement_of(c), selection.weights)) for c in complete],
                [(c.dataset, value) for c, value in select(complete, selection, seed)],
            )
            rows += [
                (results.labels[arm], seed, group, dataset, value)
                for group, members in zip(GROUPS, groups, strict=True)
                for dataset, value in members
            ]
    return pd.DataFrame(rows, columns=["label", "seed", "group", "dataset", "reward"])


def best_of(results: Results) -> Table:
    """Return the mean over prompts of the best reward among their first N candidates.

    One row per sampled arm and N; nothing is trained. Truncated and empty candidates have reward 0.
    """
    rows: list[TableRow] = []
    for arm in results.arms:
        by_prompt: dict[tuple[int, str], list[float]] = defaultdict(list)
        for seed in results.seeds:
            file = results.study.artifacts / "scores" / arm / f"seed-{seed}" / "candidates.jsonl"
            candidates = read_records(file, Candidate) if file.is_file() else []
            for candidate in candidate_pool(candidates, Selection()):
                judged = judgement_of(candidate)
                value = reward(judged, Weights()) if is_complete(candidate) else 0.0
                by_prompt[seed, candidate.example].append(value)
        most = max(map(len, by_prompt.values()), default=0)
        for count in (2**power for power in range(most.bit_length())):
            best = [max(values[:count]) for values in by_prompt.values()]
            rows.append({**results.names(arm), "candidates": count, "reward": float(np.mean(best))})
    headers = {"label": "Sampled arm", "candidates": "Candidates", "reward": "Best reward"}
    return Table(
        "best-of", rows, headers, "Best reward of N candidates",
        "How much the best of more candidates is worth to the judges, without any training.",
        (f"Means over prompts and {numbered(results.seeds)}; strategies take turns.",),
    )  # fmt: skip


def reset_example(results: Results) -> Table:
    """Return ReSet's candidates for one training prompt, after the prompt's reference response.

    It is the first prompt with a passage and instructions whose reference is flawed from memory,
    of the first seed whose candidates are here. No rows where there is none.
    """
    scored, rows = ("task", "faithfulness", "instruction"), list[TableRow]()
    for seed in results.seeds if RESET in results.arms else ():
        selection = results.arms[RESET].select
        assert selection is not None, f"{RESET} selects from candidates"
        folder = results.study.artifacts / results.arms[RESET].source / f"seed-{seed}"
        examples = read_records(folder / "prompts.jsonl", Example) if folder.is_dir() else []
        shown = (e for e in examples if e.is_joint and e.flaw == "memory" and e.clean_response)
        if (example := next(shown, None)) is None:
            continue
        candidates = read_records(folder / "candidates.jsonl", Candidate)
        complete = complete_candidates(candidates, selection)
        selected = [candidate for candidate, _ in select(complete, selection, seed)]
        rows.append({
            "prompt": example.prompt, "strategy": "reference", "response": example.response,
            **dict.fromkeys((*scored, "reward", "selected")),
        })  # fmt: skip
        own = [candidate for candidate in candidates if candidate.example == example.id]
        for candidate in candidate_pool(own, selection):
            judged = judgement_of(candidate)
            rows.append({
                "prompt": example.prompt, "strategy": candidate.strategy,
                "response": candidate.response,
                **{name: getattr(judged, name) for name in scored},
                "reward": reward(judged, selection.weights),
                "selected": int(candidate in selected),
            })  # fmt: skip
        break
    return Table("reset-example", rows)


def rewards(selections: pd.DataFrame) -> Table:
    """Return how many candidates each method selects per data set, and their mean rewards."""
    rows: list[TableRow] = []
    for label, method in selections.groupby("label", sort=False):
        num_seeds, total = method["seed"].nunique(), (method["group"] == "kept").sum()
        for dataset in [*sorted(method["dataset"].unique()), "all"]:
            members = method if dataset == "all" else method[method["dataset"] == dataset]
            counts = {group: int((members["group"] == group).sum()) for group in GROUPS}
            means = members.groupby("group")["reward"].mean()
            rows.append({
                "label": str(label), "dataset": dataset,
                **{group: count // num_seeds if count % num_seeds == 0 else count / num_seeds
                   for group, count in counts.items()},
                "acceptance":
                    counts["kept"] / counts["considered"] if counts["considered"] else None,
                "yield": counts["kept"] / total if total else None,
                "reward_all": means.get("considered"), "reward_kept": means.get("kept"),
            })  # fmt: skip
    headers = {
        "label": "Method", "dataset": "Data set", "prompts": "Prompts", "drawn": "Candidates",
        "considered": "Complete", "kept": "Selected", "acceptance": "Acceptance",
        "reward_all": "Reward, complete", "reward_kept": "Reward, selected",
    }  # fmt: skip
    return Table(
        "rewards", rows, headers, "Selection by reward",
        "The candidates of each method's pool, those that it selects, and their mean rewards.",
        ("Complete: neither empty nor truncated by the limit on new tokens; the method selects "
         "from these. Acceptance: selected / complete.",
         f"Counts are means over {numbered(sorted(selections['seed'].unique()))}."),
    )  # fmt: skip
