"""How far a piece of work is, as text."""

import pytest

from reproduce.utils.progress import spoken, told


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (40, "40 s"), (540, "9 min"), (9000, "2.5 h")]
)
def test_spoken(seconds: float, text: str) -> None:
    assert spoken(seconds) == text


def test_work_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr("reproduce.utils.progress.time.monotonic", lambda: float(next(clock)))
    assert list(told(range(4), "work")) == [0, 1, 2, 3]
    assert capsys.readouterr().out.splitlines() == [
        "  work: 1/4, about 36 s left",
        "  work: 3/4, about 8 s left",
    ]
