"""No error shows a key or a password that is in the wrong parameter."""

from pathlib import Path
from typing import Any

import pytest
from support.profiles import change, config_error, default_profile

from reproduce.config import load_params

SERVER = {"url": "http://here/v1", "budget": 1}


@pytest.mark.parametrize(
    ("server", "parameter"),
    [
        ({**SERVER, "key": "sk-secret"}, None),
        ({**SERVER, "url": "http://me:sk-secret@here/v1"}, None),
        ({**SERVER, "url": "http://here/v1?key=sk-secret"}, None),
        ({**SERVER, "budget": "sk-secret"}, None),
        ({**SERVER, "password": "sk-secret"}, None),
        (SERVER, "judging.llm_judge.api_key"),
        (SERVER, "api_key"),
    ],
)
def test_a_rejected_parameter_is_named_without_a_secret(
    server: dict[str, Any], parameter: str | None, tmp_path: Path
) -> None:
    path = default_profile(tmp_path) / "params.yaml"
    change(path, ("judging.llm_judge", {"model": "judge"}), ("judge_server", server))
    if parameter:
        change(path, (parameter, "sk-secret"))
    message = config_error(lambda: load_params(path))
    assert (parameter or "judge_server") in message and "secret" not in message
