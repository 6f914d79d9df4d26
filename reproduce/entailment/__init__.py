"""The real-text entailment model: labelled pairs, a cross-encoder trained on them, its scores."""
