"""Training: only the response counts, losses and steps against plain loops, and no surprises."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.training_runs import plain_loss, weights

from reproduce.config import ConfigError, Hardware, Training
from reproduce.models.tokenization import IGNORED, TokenRow, encode_text
from reproduce.training.sampler import Batches
from reproduce.training.trainer import (
    TRAINER_STATE,
    intermediate_steps,
    last_checkpoint,
    pad_rows,
    train,
    training_arguments,
)

Maker = Callable[..., Any]


@pytest.fixture
def run(hardware: Hardware, settings: Training, tmp_path: Path) -> Maker:
    """Return a trainer with everything set but the model and the rows; it gives the history."""

    def call(
        model: Any, rows: list[TokenRow], seed: int = 5, on: Hardware = hardware, **changes: Any
    ) -> list[dict[str, float]]:
        call.count += 1  # type: ignore[attr-defined]
        folder = tmp_path / f"run-{call.count}"  # type: ignore[attr-defined]
        chosen = Training(**{**settings.model_dump(), **changes})
        torch.manual_seed(0)
        train(model, rows, 0, training_arguments(chosen, on, seed, folder, len(rows)), "arm/x")
        checkpoint = last_checkpoint(folder)
        assert checkpoint
        log = json.loads((checkpoint / TRAINER_STATE).read_text())["log_history"]
        return [entry for entry in log if "loss" in entry]

    call.count = 0  # type: ignore[attr-defined]
    return call


def rates(history: list[dict[str, float]]) -> list[float]:
    """Return the learning rates as shares of the highest."""
    return [entry["learning_rate"] / 1e-3 for entry in history]


def test_a_batch_is_padded_on_the_right_and_only_counted_tokens_get_logits() -> None:
    rows: list[TokenRow] = [
        {"input_ids": [5, 6, 7], "labels": [IGNORED, 6, 7]},
        {"input_ids": [8, 9], "labels": [8, 9]},
    ]
    batch = {name: tensor.tolist() for name, tensor in pad_rows(rows, 0).items()}
    assert batch["input_ids"] == [[5, 6, 7], [8, 9, 0]]
    assert batch["labels"] == [[IGNORED, 6, 7], [8, 9, IGNORED]]
    assert batch["attention_mask"] == [[1, 1, 1], [1, 1, 0]]
    assert batch["logits_to_keep"] == [[True, True, False], [True, False, False]]
    assert batch["shift_labels"] == [6, 7, 9]


@pytest.mark.parametrize("items", [None, 7])
def test_logits_of_counted_tokens_give_the_loss_and_gradients_of_all(
    make_model: Maker, rows: list[TokenRow], items: int | None
) -> None:
    model, mixed = make_model(), rows[:3] + rows[16:20] + rows[32:36]
    assert len({len(row["input_ids"]) for row in mixed}) > 3
    batch = pad_rows(mixed, 0)
    plain = {key: batch[key] for key in ("input_ids", "attention_mask", "labels")}
    losses, gradients = [], []
    for inputs in (plain, batch):
        model.zero_grad()
        output = model(**inputs, num_items_in_batch=items)
        output.loss.backward()
        losses.append(output.loss.item())
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
    assert len(output.logits) == len(batch["shift_labels"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradients[1][name], gradient, atol=1e-6), name
    if items is None:
        assert losses[1] == pytest.approx(plain_loss(model.eval(), mixed), abs=1e-5)


@pytest.mark.parametrize("micro", [8, 2])
def test_the_first_logged_loss_is_that_of_the_first_batch(
    make_model: Maker, run: Maker, rows: list[TokenRow], micro: int
) -> None:
    # Micro batches have unlike numbers of response tokens: a mean of means would differ.
    first = list(Batches([len(row["input_ids"]) for row in rows], 8, 1, 5))[:8]
    expected = plain_loss(make_model().eval(), [rows[i] for i in first])
    history = run(make_model(), rows, micro_batch_size=micro)
    assert history[0]["loss"] == pytest.approx(expected, abs=2e-4)


EXPECTED = [5.51048, 5.55074, 5.53263, 5.47445, 5.4566, 5.43951, 5.30091, 5.25299, 5.18197,
            5.15315, 5.11515, 5.00722]  # fmt: skip
"""Losses of two epochs on one machine: an upgrade that changes training shows here."""


def test_the_losses_are_those_of_an_earlier_version(
    make_model: Maker, run: Maker, rows: list[TokenRow]
) -> None:
    history = run(make_model(), rows, epochs=2, learning_rate=5e-3)
    # Within what rounding on another processor makes of them in so few steps.
    losses = [round(entry["loss"], 5) for entry in history]
    assert losses == pytest.approx(EXPECTED, rel=1e-3), str(losses)
    assert [entry["step"] for entry in history] == list(range(1, 13))


def test_steps_are_those_of_a_plain_loop(
    make_model: Maker, run: Maker, rows: list[TokenRow]
) -> None:
    model, plain = make_model(), make_model()
    run(model, rows, beta2=0.9, weight_decay=0.1)
    order = list(Batches([len(row["input_ids"]) for row in rows], 8, 1, 5))
    groups = [  # The Trainer keeps norms out of the weight decay.
        {"params": [p for n, p in plain.named_parameters() if "norm" in n], "weight_decay": 0.0},
        {"params": [p for n, p in plain.named_parameters() if "norm" not in n]},
    ]
    optimiser = torch.optim.AdamW(groups, 1e-3, (0.9, 0.9), weight_decay=0.1)
    for start in range(0, len(order), 8):
        optimiser.zero_grad()
        plain.train()(**pad_rows([rows[i] for i in order[start : start + 8]], 0)).loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimiser.step()
    assert all(torch.allclose(v, weights(model)[n], atol=1e-5) for n, v in weights(plain).items())


def test_bf16_leaves_the_weights_in_fp32_and_the_losses_close(
    make_model: Maker, run: Maker, rows: list[TokenRow], hardware: Hardware
) -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        model = make_model()
        chosen = hardware.model_copy(update={"precision": precision})
        losses.append([entry["loss"] for entry in run(model, rows, on=chosen)])
        assert {value.dtype for value in weights(model).values()} == {torch.float32}
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.02)


def test_gradient_checkpointing_takes_the_same_steps(
    make_model: Maker, run: Maker, rows: list[TokenRow], hardware: Hardware
) -> None:
    frugal = hardware.model_copy(update={"gradient_checkpointing": True})
    plain, again = run(make_model(), rows), run(make_model(), rows, on=frugal)
    assert [e["loss"] for e in again] == pytest.approx([e["loss"] for e in plain], abs=1e-5)


def test_accumulation_equals_one_large_batch(
    make_model: Maker, run: Maker, tokenizer: Any, rows: list[TokenRow]
) -> None:
    # The order depends on the micro batch: compare several steps on equal rows, and one step on
    # rows of unlike lengths, in which every token has to weigh the same.
    for same in (
        [encode_text(tokenizer, "The end.", 9)] * 24,
        rows[:2] + rows[16:19] + rows[32:35],
    ):
        one, two, start = make_model(), make_model(), weights(make_model())
        run(one, same)
        run(two, same, micro_batch_size=2)
        for name, value in weights(one).items():
            assert torch.allclose(value, weights(two)[name], atol=1e-5), name
        assert any(not torch.allclose(v, start[n], atol=1e-4) for n, v in weights(two).items())


def test_another_number_of_processes_than_the_profile_says_is_refused(
    settings: Training, hardware: Hardware, tmp_path: Path
) -> None:
    several = hardware.model_copy(update={"devices": 8})
    with pytest.raises(ConfigError, match=r"hardware\.devices: 8"):
        training_arguments(settings, several, 5, tmp_path, 64)


@pytest.mark.parametrize("step", [3, 41])
def test_a_loss_that_is_no_number_stops_the_run_at_any_step(
    make_model: Maker, run: Maker, rows: list[TokenRow], step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, calls = make_model(), []
    forward = model.forward

    def poisoned(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        calls.append(1)
        if len(calls) == step:
            output.loss = output.loss * math.nan
        return output

    monkeypatch.setattr(model, "forward", poisoned)
    with pytest.raises(FloatingPointError, match="arm/x.* nan at step"):
        run(model, rows[:41], batch_size=1, micro_batch_size=1)


@pytest.mark.parametrize(
    ("steps", "count", "expected"),
    [(24, 0, set()), (24, 1, {12}), (24, 2, {8, 16}), (24, 5, {4, 8, 12, 16, 20}), (4, 2, {1, 3}),
     (1, 2, set())],
)  # fmt: skip
def test_intermediate_evaluations_are_at_equal_distances(
    steps: int, count: int, expected: set[int]
) -> None:
    assert intermediate_steps(steps, count) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [1, 1, 1, 1, 1, 1]),
        # The library's warm-up starts at rate 0: a step without effect, which is left out.
        ({"schedule": "linear", "warmup": 0.5}, [1 / 3, 2 / 3, 1, 3 / 4, 2 / 4, 1 / 4]),
        ({"warmup": 0.05, "batch_size": 48, "micro_batch_size": 48}, [1]),
    ],
    ids=str,
)
def test_schedules(
    make_model: Maker, run: Maker, rows: list[TokenRow], changes: dict[str, Any],
    expected: list[float],
) -> None:  # fmt: skip
    assert rates(run(make_model(), rows, **changes)) == pytest.approx(expected)


def test_a_stable_schedule_decays_over_its_share(
    make_model: Maker, run: Maker, rows: list[TokenRow]
) -> None:
    history = run(
        make_model(), rows, batch_size=2, micro_batch_size=2, warmup=0.25,
        schedule="warmup_stable_decay", schedule_options={"decay": 0.5},
    )  # fmt: skip
    found = rates(history)
    assert len(found) == 24 and max(found) == pytest.approx(1)
    assert found[:6] == sorted(found[:6]) and found[2] < 0.7
    assert found[7:11] == pytest.approx([1] * 4)
    assert found[13:] == sorted(found[13:], reverse=True) and found[-1] < 0.1
