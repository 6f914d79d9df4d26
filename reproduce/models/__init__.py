"""Models and tokenizers: made, imported, loaded; text as token rows."""
