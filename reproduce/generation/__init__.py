"""Responses of a model to prompts."""
