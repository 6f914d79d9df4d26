"""The symbolic entailment model reads every form of a fact, and nothing else."""

import numpy as np
import pytest

from reproduce.world.entailment import read_fact, symbolic_entailment
from reproduce.world.people import STATEMENTS, VALUES, statement

YES, NO, OPEN = [1, 0, 0], [0, 1, 0], [0, 0, 1]
CAT = "Anna owns a cat."


@pytest.mark.parametrize(
    ("premise", "hypothesis", "expected"),
    [
        (CAT, "The pet of Anna is a cat.", YES),
        ("Anna takes care of a cat every day.", "- Anna owns a cat", YES),
        (CAT, "Anna owns a dog.", NO),
        ("The home of Ben is in Rome.", "Ben lives in Oslo.", NO),
        (CAT, "Ben owns a cat.", OPEN),
        (CAT, "Ben owns a dog.", OPEN),
        (CAT, "Anna lives in Rome.", OPEN),
        (CAT, "Anna owns a whale.", OPEN),
        (CAT, "Which pet does Anna own? cat", YES),
        (CAT, "Which pet does Anna own? dog.", NO),
        (CAT, "Which pet does Ben own? cat", OPEN),
        (CAT, "Which pet does Anna own? a cat", OPEN),
        (CAT, "Which pet does Anna own? The pet of Anna is a cat.", YES),
        (CAT, "Which pet does Anna own? Anna owns a dog.", NO),
        (CAT, "Which pet does Anna own? Ben owns a cat.", OPEN),
        (CAT, "I think Anna owns a cat.", OPEN),
        (CAT, "Anna owns a cat. Ben owns a dog.", OPEN),
        (CAT, "", OPEN),
        ("Once upon a time.", CAT, OPEN),
    ],
)
def test_symbolic_entailment(premise: str, hypothesis: str, expected: list[int]) -> None:
    assert symbolic_entailment([(premise, hypothesis)]).tolist() == [expected]


def test_every_form_is_read_and_entails_every_other() -> None:
    for attribute, forms in STATEMENTS.items():
        for value in VALUES[attribute]:
            texts = [statement("Yann", attribute, value, form) for form in range(len(forms))]
            assert {read_fact(text) for text in texts} == {("Yann", attribute, value)}
            table = symbolic_entailment([(a, b) for a in texts for b in texts])
            assert np.array_equal(table, np.tile(YES, (9, 1)))
