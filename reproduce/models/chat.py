"""Chat templates for base models that come without one."""

VICUNA = (
    "{{ bos_token }}A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %} USER: {{ message['content'] }}"
    "{% else %} ASSISTANT: {{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)
"""Vicuna's conversation format from version 1.1 on (FastChat, `vicuna_v1.1`)."""

TEMPLATES = {"vicuna": VICUNA}
"""Name -> chat template, in Jinja, as tokenizers keep it."""
