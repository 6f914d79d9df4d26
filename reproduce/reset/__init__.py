"""ReSet (rejection sampling): sample candidates from the MTL model, judge them, select.

Wu et al. (2024), caption of figure 8: responses to seen prompts by several decoding strategies
are rated by a weighted score of task performance, faithfulness and instruction following, and
the top-rated ones fine-tune the MTL model further. That training is the same as any arm's.
"""
