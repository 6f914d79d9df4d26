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
# # Does each stage of fine-tuning undo the other?
#
# A model is fine-tuned on instruction following (IF) and on context-dependent tasks (CD), in
# either order. The question is whether the second stage takes away what the first one taught:
# faithfulness after CD → IF, instruction following after IF → CD.
#
# **How to read it.** `faithfulness_change` of CD → IF and `instruction_change` of IF → CD are the
# paired differences to the model before the second stage; the claim is that both are below 0. The
# arms "CD → one set" and "IF → one set" say whether a single data set is enough.

# %%
from pathlib import Path

import pandas as pd

from reproduce.reporting import figures
from views import losses_of, rows_of

# %matplotlib inline
pd.set_option("display.max_columns", None)

# %% tags=["parameters"]
PROFILE = ".."  # the folder of a profile: ".." or "../profiles/smollm2"
ARMS: list[str] = []  # rows to show, by arm or label, such as ["MTL"]; none: all
SEED = None  # whose training losses to show; None: the mean over all seeds

# %%
TABLES = Path(PROFILE) / "paper" / "tables"

# %% [markdown]
# ## Scores of every stage
#
# Columns that end in `_low` and `_high` are the ends of a bootstrap interval over seeds and
# prompts; `_prompts` and `_seeds` are what it was taken from. `paper/tables/two-stage.md` is the
# same table with its caption.

# %%
rows_of(TABLES, "two-stage", ARMS)

# %% [markdown]
# ## On the way
#
# Columns that end in `_low` and `_high` are the ends of a bootstrap interval over seeds and
# prompts; `_prompts` and `_seeds` are what it was taken from. `paper/tables/trajectory.md` is the
# same table with its caption.

# %%
rows_of(TABLES, "trajectory", ARMS)

# %% [markdown]
# ## The figure
#
# Left of the dashed line the first stage, right of it the second. The claim is a falling line of
# the first stage's objective on the right-hand side, while the other rises.

# %%
figures.trajectories(TABLES)

# %% [markdown]
# ## Training losses
#
# Of the arms of `two-stage`, or of `ARMS`, and of `SEED`. Batches hold rows of like length, so
# often of one task, and tasks differ in loss.

# %%
losses_of(TABLES, "two-stage", ARMS, SEED)
