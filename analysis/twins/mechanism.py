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
# # Are wrong answers what the model remembers?
#
# The contexts contradict what the model learned in pretraining, and what it learned is known. The
# question is whether a wrong answer is the remembered fact or just any wrong value.
#
# **How to read it.** `remembered` is the share of wrong answers that states the remembered
# fact, `chance` the share if a wrong answer were any other value of its type. Far right of its
# chance mark, an arm falls back on memory. Arms with few wrong answers (`wrong`) have wide
# intervals. The columns `probe:…` are the shares of responses that state the answer, on
# questions outside the objectives: reading a text, recalling a fact.

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
# ## Wrong answers by arm
#
# Columns that end in `_low` and `_high` are the ends of a bootstrap interval over seeds and
# prompts; `_prompts` and `_seeds` are what it was taken from. `paper/tables/mechanism.md` is the
# same table with its caption.

# %%
rows_of(TABLES, "mechanism", ARMS)

# %% [markdown]
# ## The figure
#
# The short upright marks are chance.

# %%
figures.mechanism(TABLES)

# %% [markdown]
# ## Training losses
#
# Of the arms of `two-stage`, or of `ARMS`, and of `SEED`. Batches hold rows of like length, so
# often of one task, and tasks differ in loss.

# %%
losses_of(TABLES, "two-stage", ARMS, SEED)
