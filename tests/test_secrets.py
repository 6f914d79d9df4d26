"""No message shows a key or a password that stands where it should not."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from nested import put

from reproduce.config import ConfigError, load_params

ROOT = Path(__file__).parent.parent
SERVER = {"url": "http://here/v1", "budget": 1}


@pytest.mark.parametrize(
    ("server", "place"),
    [
        ({**SERVER, "key": "sk-secret"}, None),
        ({**SERVER, "url": "http://me:sk-secret@here/v1"}, None),
        ({**SERVER, "budget": "sk-secret"}, None),
        ({**SERVER, "password": "sk-secret"}, None),
        (SERVER, "judging.rated.api_key"),
        (SERVER, "api_key"),
    ],
)
def test_a_refused_parameter_is_named_without_a_secret(
    server: dict[str, Any], place: str | None, tmp_path: Path
) -> None:
    told = yaml.safe_load((ROOT / "params.yaml").read_text())
    told["judging"]["rated"] = {"model": "judge"}
    told["servers"] = {"judge": server}
    if place:
        put(told, **{place: "sk-secret"})
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(told))
    with pytest.raises(ConfigError) as found:
        load_params(tmp_path / "params.yaml")
    assert (place or "servers.judge") in str(found.value)
    assert "secret" not in str(found.value)


def test_a_refused_number_is_shown(tmp_path: Path) -> None:
    told = yaml.safe_load((ROOT / "params.yaml").read_text())
    told |= {"servers": {"sampler": {"attempts": -3}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(told))
    with pytest.raises(ConfigError, match=r"servers\.sampler\.attempts.*given: -3"):
        load_params(tmp_path / "params.yaml")
