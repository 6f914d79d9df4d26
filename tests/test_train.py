"""Training: only the response counts, losses and batches against plain loops, and no surprises."""

import contextlib
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from reproduce.evaluation.tables.study import parameters
from reproduce.training.loss import sparse_scores

from reproduce.config import ConfigError, Hardware, Training
from reproduce.models.tokenization import (
    IGNORED,
    encode_example,
    encode_text,
    pad_rows,
)
from reproduce.schema import Example
from reproduce.training import trainer
from reproduce.training.sampler import LengthBatches, length_batches
from reproduce.training.trainer import train, training_arguments

Row = dict[str, Any]
Sets = dict[str, list[Example]]
Maker = Callable[..., Any]


@pytest.fixture
def rows(tokenizer: Any, training: Sets) -> list[Row]:
    """Return rows of three kinds, 48 of them."""
    examples = [e for name in ("qa-single", "lists", "stories") for e in training[name][:16]]
    found = [encode_example(tokenizer, example, 128) for example in examples]
    return [row for row in found if row]


@pytest.fixture
def run(tokenizer: Any, hardware: Hardware, settings: Training, tmp_path: Path) -> Maker:
    """Return a trainer with everything set but the model and the rows."""

    def call(
        model: Any, rows: list[Row], stops: int = 0, seed: int = 5,
        on: Hardware = hardware, **changes: Any,
    ) -> list[dict[str, float]]:  # fmt: skip
        chosen = Training(**{**settings.model_dump(), **changes})
        torch.manual_seed(0)
        arguments = training_arguments(chosen, on, seed, tmp_path / "w", len(rows))
        return train(model, tokenizer, rows, arguments, "arm/x", stops)[0]

    return call


def plain_loss(model: Any, rows: list[Row]) -> float:
    """Return the mean cross entropy over all response tokens, one token at a time."""
    total, count = 0.0, 0
    with torch.no_grad():
        for row in rows:
            scores = model(input_ids=torch.tensor([row["input_ids"]])).logits[0].double()
            for place in range(1, len(row["input_ids"])):
                if row["labels"][place] != IGNORED:
                    chances = torch.softmax(scores[place - 1], dim=0)
                    total -= math.log(chances[row["input_ids"][place]])
                    count += 1
    return total / count


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def test_the_loss_of_a_padded_batch_is_the_mean_over_response_tokens(
    make_model: Maker, tokenizer: Any, rows: list[Row]
) -> None:
    model = make_model().eval()
    mixed = rows[:3] + rows[16:20] + rows[32:36]
    assert len({row["length"] for row in mixed}) > 3
    with torch.no_grad():
        loss = float(model(**pad_rows(mixed, tokenizer.pad_token_id)).loss)
    assert loss == pytest.approx(plain_loss(model, mixed), abs=1e-5)


def test_the_first_logged_loss_is_that_of_the_first_batch(
    make_model: Maker, run: Maker, rows: list[Row]
) -> None:
    first = length_batches([row["length"] for row in rows], 8, 5)[:8]
    expected = plain_loss(make_model().eval(), [rows[i] for i in first])
    assert run(make_model(), rows)[0]["loss"] == pytest.approx(expected, abs=2e-4)


def test_the_first_logged_loss_with_accumulation_is_that_of_the_whole_batch(
    make_model: Maker, run: Maker, rows: list[Row]
) -> None:
    # Micro batches of unlike numbers of response tokens: a mean of means would differ.
    first = length_batches([row["length"] for row in rows], 2, 5)[:8]
    expected = plain_loss(make_model().eval(), [rows[i] for i in first])
    history = run(make_model(), rows, micro_batch_size=2)
    assert history[0]["loss"] == pytest.approx(expected, abs=2e-4)


KEPT = [5.52521, 5.5226, 5.49388, 5.495, 5.48145, 5.4253, 5.36823, 5.26116, 5.2619, 5.19663,
        5.18293, 5.13478]  # fmt: skip
"""Losses of two epochs, kept from one machine: an upgrade that changes training shows here."""


def test_the_losses_are_those_that_were_kept(
    make_model: Maker, run: Maker, rows: list[Row]
) -> None:
    """Within what rounding on another processor makes of them in so few steps."""
    history = run(make_model(), rows, epochs=2, learning_rate=5e-3)
    assert [row["loss"] for row in history] == pytest.approx(KEPT, rel=1e-3)


def test_training_lowers_the_loss(make_model: Maker, run: Maker, rows: list[Row]) -> None:
    model = make_model()
    before = plain_loss(model.eval(), rows)
    history = run(model, rows, epochs=4, learning_rate=1e-2)
    assert plain_loss(model.eval(), rows) < 0.7 * before
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]
    assert all(math.isfinite(value) for row in history for value in row.values())
    assert [row["step"] for row in history] == list(range(1, 25))
    assert {key for row in history for key in row} == {"step", "loss", "learning_rate"}


def test_the_same_call_gives_the_same_weights(
    make_model: Maker, run: Maker, rows: list[Row]
) -> None:
    one, two = make_model(), make_model()
    assert run(one, rows) == run(two, rows)
    found = weights(two)
    assert all(torch.equal(value, found[name]) for name, value in weights(one).items())


def test_another_seed_gives_another_order(make_model: Maker, run: Maker, rows: list[Row]) -> None:
    losses = [run(make_model(), rows, seed=seed)[0]["loss"] for seed in (1, 2)]
    assert losses[0] != losses[1]


def test_every_epoch_has_an_order_of_its_own_that_does_not_depend_on_the_first() -> None:
    whole, late = (LengthBatches(range(40), 4, 3) for _ in range(2))
    orders = []
    for epoch in range(3):
        whole.set_epoch(epoch)
        orders.append(list(whole))
    late.set_epoch(2)
    assert list(late) == orders[2]
    assert orders[0] != orders[1] != orders[2]


def test_products_in_bf16_leave_the_weights_in_fp32_and_the_losses_close(
    make_model: Maker, run: Maker, rows: list[Row], hardware: Hardware
) -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        model = make_model()
        chosen = hardware.model_copy(update={"precision": precision})
        losses.append([row["loss"] for row in run(model, rows, on=chosen)])
        assert {value.dtype for value in weights(model).values()} == {torch.float32}
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.02)


def test_gradient_checkpointing_takes_the_same_steps(
    make_model: Maker, run: Maker, rows: list[Row], hardware: Hardware
) -> None:
    frugal = hardware.model_copy(update={"gradient_checkpointing": True})
    plain, again = run(make_model(), rows), run(make_model(), rows, on=frugal)
    assert [r["loss"] for r in again] == pytest.approx([r["loss"] for r in plain], abs=1e-5)


def test_another_number_of_processes_than_the_profile_names_is_refused(
    settings: Training, hardware: Hardware, tmp_path: Path
) -> None:
    several = hardware.model_copy(update={"devices": 8})
    with pytest.raises(ConfigError, match=r"hardware\.devices: 8, but 1 processes were started"):
        training_arguments(settings, several, 5, tmp_path, 64)


def test_accumulation_changes_nothing(make_model: Maker, run: Maker, tokenizer: Any) -> None:
    # The order of rows depends on the micro batch, so over several steps all rows are equal.
    rows = [encode_text(tokenizer, "The end.", 9)] * 24
    one, two = make_model(), make_model()
    run(one, rows)
    run(two, rows, micro_batch_size=2)
    start, found = weights(make_model()), weights(two)
    for name, value in weights(one).items():
        assert torch.allclose(value, found[name], atol=1e-5), name
    assert any(not torch.allclose(v, start[n], atol=1e-4) for n, v in found.items())


def test_accumulation_weighs_every_token_alike(
    make_model: Maker, run: Maker, rows: list[Row]
) -> None:
    # One step over 8 rows is the same whatever their order.
    eight = rows[:2] + rows[16:19] + rows[32:35]
    one, two = make_model(), make_model()
    run(one, eight)
    run(two, eight, micro_batch_size=2)
    found = weights(two)
    for name, value in weights(one).items():
        assert torch.allclose(value, found[name], atol=1e-5), name


@pytest.mark.parametrize("changes", [{}, {"micro_batch_size": 2}])
def test_a_poisoned_weight_is_refused_by_the_name_of_the_run(
    make_model: Maker, run: Maker, rows: list[Row], changes: dict[str, Any]
) -> None:
    model = make_model()
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight[0, 0] = math.nan
    with pytest.raises(FloatingPointError, match=r"arm/x: loss is nan at step 1\b"):
        run(model, rows, **changes)


@pytest.mark.parametrize("step", [3, 41])
def test_a_loss_that_is_no_number_is_refused_at_any_step(
    make_model: Maker, run: Maker, rows: list[Row], step: int, monkeypatch: pytest.MonkeyPatch
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
    with pytest.raises(FloatingPointError, match="arm/x"):
        run(model, rows[:41], batch_size=1, micro_batch_size=1)


@pytest.mark.parametrize(
    ("stops", "expected"), [(0, []), (1, [12]), (2, [8, 16]), (5, [4, 8, 12, 16, 20])]
)
def test_models_are_saved_on_the_way(
    make_model: Maker, run: Maker, rows: list[Row], tmp_path: Path, stops: int, expected: list[int]
) -> None:
    run(make_model(), rows, stops, batch_size=2, micro_batch_size=2)
    saved = {int(path.name[5:]): path for path in (tmp_path / "w").glob("stop-*")}
    assert sorted(saved) == expected
    assert all((path / "model.safetensors").is_file() for path in saved.values())


def test_a_large_model_is_saved_in_parts(
    make_model: Maker, run: Maker, rows: list[Row], hardware: Hardware, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from reproduce.models.load import load_model

    folder = tmp_path / "w" / "stop-3"
    whole = make_model()
    run(whole, rows, 1)
    expected = weights(load_model(folder, hardware))
    count = parameters(folder)
    shutil.rmtree(tmp_path / "w")
    monkeypatch.setattr(trainer, "SHARD", "20KB")
    run(make_model(), rows, 1)
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert parameters(folder) == count
    found = weights(load_model(folder, hardware))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_a_run_with_few_steps_still_has_its_stops(
    make_model: Maker, run: Maker, rows: list[Row], tmp_path: Path
) -> None:
    run(make_model(), rows[:8], 2, batch_size=2, micro_batch_size=2)
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == [
        "stop-1",
        "stop-3",
    ]


def test_a_saved_model_is_that_of_its_step(
    make_model: Maker, run: Maker, rows: list[Row], hardware: Hardware, tmp_path: Path
) -> None:
    from reproduce.models.load import load_model

    final = make_model()
    run(final, rows, 1)
    half = weights(load_model(tmp_path / "w" / "stop-3", hardware))
    short = make_model()
    order = length_batches([row["length"] for row in rows], 8, 5)[:24]
    optimiser = torch.optim.AdamW(short.parameters(), 1e-3, weight_decay=0.0)
    for begin in (0, 8, 16):
        batch = pad_rows([rows[i] for i in order[begin : begin + 8]], 0)
        short.train()
        optimiser.zero_grad()
        loss = short(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(short.parameters(), 1.0)
        optimiser.step()
    for name, value in weights(short).items():
        assert torch.allclose(value, half[name], atol=1e-5), name
    assert any(not torch.allclose(v, half[n], atol=1e-4) for n, v in weights(final).items())


@pytest.mark.parametrize(
    ("schedule", "options", "expected"),
    [
        ("constant_with_warmup", {}, [1, 1, 1, 1, 1, 1]),
        ("linear", {}, [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("cosine", {}, [(1 + math.cos(math.pi * i / 6)) / 2 for i in range(6)]),
    ],
)
def test_schedules(
    make_model: Maker, run: Maker, rows: list[Row], schedule: str, options: dict[str, float],
    expected: list[float],
) -> None:  # fmt: skip
    history = run(make_model(), rows, schedule=schedule, schedule_options=options)
    rates = [row["learning_rate"] / 1e-3 for row in history]
    assert rates == pytest.approx(expected) or rates == pytest.approx([*expected[1:], rates[-1]])


def test_a_stable_schedule_decays_over_its_share(
    make_model: Maker, run: Maker, rows: list[Row]
) -> None:
    history = run(
        make_model(), rows, batch_size=2, micro_batch_size=2, warmup=0.25,
        schedule="warmup_stable_decay", schedule_options={"decay": 0.5},
    )  # fmt: skip
    rates = [row["learning_rate"] / 1e-3 for row in history]
    assert len(rates) == 24 and max(rates) == pytest.approx(1)
    assert rates[:6] == sorted(rates[:6]) and rates[2] < 0.7
    assert rates[7:11] == pytest.approx([1] * 4)
    assert rates[13:] == sorted(rates[13:], reverse=True) and rates[-1] < 0.1


def test_a_run_of_one_step_learns_something(make_model: Maker, run: Maker, rows: list[Row]) -> None:
    """The library's warm-up begins at rate 0, which would be the only one."""
    (only,) = run(make_model(), rows[:8], batch_size=8, micro_batch_size=8, epochs=1, warmup=0.05)
    assert (only["step"], only["learning_rate"]) == (1, 1e-3)


def test_no_step_of_a_warm_up_is_lost(make_model: Maker, run: Maker, rows: list[Row]) -> None:
    history = run(make_model(), rows, warmup=0.5, schedule="linear")
    rates = [row["learning_rate"] / 1e-3 for row in history]
    assert rates == pytest.approx([1 / 3, 2 / 3, 1, 3 / 4, 2 / 4, 1 / 4])
    model = make_model()
    before = weights(model)
    run(model, rows[:8], warmup=0.5)
    assert any(not torch.equal(value, before[name]) for name, value in weights(model).items())


@pytest.mark.parametrize("items", [None, 7])
def test_scores_are_taken_where_a_token_counts_and_the_loss_is_the_same(
    make_model: Maker, tokenizer: Any, rows: list[Row], items: int | None
) -> None:
    model, batch = make_model(), pad_rows(rows[:3] + rows[32:36], tokenizer.pad_token_id)
    counted = int((batch["labels"][:, 1:] != IGNORED).sum())
    losses, gradients, sizes = [], [], []
    for narrow in (contextlib.nullcontext(), sparse_scores(model), contextlib.nullcontext()):
        model.zero_grad()
        with narrow:
            output = model(**batch, num_items_in_batch=items)
            output.loss.backward()
        losses.append(output.loss.item())
        sizes.append(output.logits[..., 0].numel())
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
    assert sizes == [batch["labels"].numel(), counted, batch["labels"].numel()]
    assert losses[1:] == pytest.approx(losses[:1] * 2, abs=1e-6)
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradients[1][name], gradient, atol=1e-6), name


def test_another_beta2_gives_other_weights(make_model: Maker, run: Maker, rows: list[Row]) -> None:
    one, two = make_model(), make_model()
    run(one, rows, beta2=0.9)
    run(two, rows, beta2=0.999)
    assert not torch.equal(one.lm_head.weight, two.lm_head.weight)
