"""Reproduction of "Dancing in Chains" (Wu et al., EMNLP 2024)."""
