# ---
# jupyter:
#   jupytext:
#     formats: ipynb,twins//py:percent
#     notebook_metadata_filter: language_info
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   language_info:
#     name: python
# ---

# %% [markdown]
# # Generations, with their judgements
#
# Responses of several arms to the same prompts, side by side, each with what the judges gave it:
# task performance between 0 and 1, faithfulness between −1 (contradicted) and 1 (entailed),
# instruction following as the share of instructions that were followed. A judge that does not
# apply to a prompt gives no score.
#
# **How to use it.** Change a parameter and run the cells again. The responses are read from
# `artifacts/`, which is not in git; if it is not there, from the committed
# `paper/tables/generations.csv`, which has the main arms and the first seed. For others, the cells
# say what to run.

# %%
from pathlib import Path

from browse import datasets, side_by_side

# %% tags=["parameters"]
PROFILE = ".."  # the folder of a profile: ".." or "../profiles/smollm2"
ARMS = ["two-stage/CD", "two-stage/CD-IF", "methods/MTL", "methods/ReSet-S"]
DATASET = ""  # a name of the list below; "" takes one prompt of each in turn
SEED = 0
FIRST, COUNT = 0, 16

# %% [markdown]
# ## The evaluation sets

# %%
datasets(Path(PROFILE))

# %% [markdown]
# ## The responses
#
# Scores are in brackets below each response.

# %%
side_by_side(Path(PROFILE), ARMS, DATASET, SEED, FIRST, COUNT)
