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
# # Do ReSet and ReSet-S beat multi-task learning?
#
# Multi-task learning (MTL) trains on both kinds of data at once. ReSet lets that model answer
# prompts it has seen, has judges choose among the answers, and trains on the chosen ones; ReSet-S
# chooses more strictly and trains on three-fold less. The question is whether either is better on
# *both* objectives.
#
# **How to read it.** `instruction_difference` and `faithfulness_difference` are paired differences
# to MTL, with their intervals over seeds and prompts. What decides a claim is said in `claims.md`:
# the interval, and whether an effect is large enough to count.

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
# ## Scores of the main arms
#
# Columns that end in `_low` and `_high` are the ends of a bootstrap interval over seeds and
# prompts; `_prompts` and `_seeds` are what it was taken from. `paper/tables/methods.md` is the
# same table with its caption.

# %%
rows_of(TABLES, "methods", ARMS)

# %% [markdown]
# ## The plane of the two objectives
#
# The star joins the best of both specialists: further up and to the right is better. Arrows are
# further training.

# %%
figures.trade_off(TABLES)

# %% [markdown]
# ## What was selected
#
# Columns that end in `_low` and `_high` are the ends of a bootstrap interval over seeds and
# prompts; `_prompts` and `_seeds` are what it was taken from. `paper/tables/rewards.md` is the
# same table with its caption.

# %%
rows_of(TABLES, "rewards")

# %% [markdown]
# ## Rewards of what was selected
#
# The further the line of the kept lies to the right of the grey area, the more the judges chose.

# %%
figures.rewards(TABLES)

# %% [markdown]
# ## Claims and verdicts
#
# Columns that end in `_low` and `_high` are the ends of a bootstrap interval over seeds and
# prompts; `_prompts` and `_seeds` are what it was taken from. `paper/tables/claims.md` is the same
# table with its caption.

# %%
rows_of(TABLES, "claims")

# %% [markdown]
# ## Training losses
#
# Of the arms of `methods`, or of `ARMS`, and of `SEED`. Batches hold rows of like length, so
# often of one task, and tasks differ in loss.

# %%
losses_of(TABLES, "methods", ARMS, SEED)
