"""A stand-by entailment model for real text that needs no weights: shared words.

It cannot see a contradiction, and it takes any reordering of the same words for entailment, so
it says less than a trained NLI model. It serves where none can be had, and tables made with it
say so by the profile's `judging.entailment: lexical`.
"""

from collections.abc import Sequence

import numpy as np

from reproduce.judges.faithfulness import k_precision


def lexical_entailment(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Return (n, 3) probabilities: entailment is the K-precision of the hypothesis, rest neutral.

    K-precision (Adlakha et al., TACL 2024): share of the hypothesis' words that the premise has.
    """
    shares = np.array([k_precision(premise, text) for premise, text in pairs], dtype=np.float32)
    return np.stack([shares, np.zeros_like(shares), 1 - shares], axis=1)
