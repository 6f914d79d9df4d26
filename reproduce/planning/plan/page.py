"""A plan as its reader sees it: aligned on a terminal, Markdown in a file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from reproduce.config import Params
from reproduce.planning.plan import memory
from reproduce.planning.plan.assumptions import ALWAYS, GIGA, WHY, Assumptions, Machine
from reproduce.planning.plan.costs import Cost, peak_of_disk
from reproduce.planning.plan.shapes import ModelShape


@dataclass(frozen=True)
class Prices:
    """What a GPU costs an hour and a request to the judge; None where nobody said."""

    gpu_hour: float | None = None
    call: float | None = None


@dataclass(frozen=True)
class Plan:
    """All that a page shows.

    Attributes:
        training: what a step of fine-tuning holds; on a machine without GPUs as if it had one.
        refused: what does not fit.
    """

    params: Params
    machine: Machine
    assumed: Assumptions
    shape: ModelShape
    zero: memory.Zero | None
    training: memory.Held
    found: Sequence[Cost]
    prices: Prices
    refused: Sequence[str]


@dataclass(frozen=True)
class TextTable:
    """A table of text; the first column is set to the left, the others as `left` says."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: bool = False


Column = tuple[str, Callable[[Cost], str], Callable[[Sequence[Cost]], str]]


def terminal(plan: Plan) -> str:
    """Return the plan for a terminal."""
    return _page(plan, _aligned, "{}\n")


def markdown(plan: Plan) -> str:
    """Return the plan as GitHub's Markdown."""
    return _page(plan, _marked, "## {}\n")


def _page(plan: Plan, shown: Callable[[TextTable], str], heading: str) -> str:
    parts = [
        heading.removeprefix("#").format(_title(plan)), _summary(plan), "",
        shown(_stages(plan)), "",
        heading.format("Memory"), _memory_note(plan), "", shown(_memory(plan)), "",
        heading.format("Assumptions"), ASSUMPTIONS, "", shown(_assumptions(plan)), "",
    ]  # fmt: skip
    if plan.refused:
        parts += [heading.format("What does not fit"), *(f"- {said}" for said in plan.refused), ""]
    return "\n".join(parts)


ASSUMPTIONS = (
    "Each may be given otherwise: `--assume name=number`, or by the option named. All hours and "
    "bytes follow from these and from the configuration; none was measured on this hardware."
)

UPPER = (
    "Counts are upper bounds: data sets as large as the configuration asks for, responses as long "
    "as they may be, no judgement found in a cache. Runs follow one another."
)


def _title(plan: Plan) -> str:
    machine = plan.machine
    if not machine.devices:
        return f"Plan of the profile {plan.params.profile} without a GPU"
    nodes = f"{machine.nodes} nodes of " if machine.nodes > 1 else ""
    return f"Plan of the profile {plan.params.profile} on {nodes}{machine.gpus} {machine.name}"


def _summary(plan: Plan) -> str:
    size = f"{plan.shape.parameters:,} parameters"
    seeds = len(plan.params.seeds)
    said = f"{size}, {seeds} seed{'s' * (seeds > 1)}, {len(plan.found)} stages. {UPPER}"
    if not plan.machine.devices:
        return f"{said} Hours are those of the reference machine (timings.csv)."
    return (
        f"{said} All {plan.machine.devices} GPUs train together (hardware.devices: "
        f"{plan.params.hardware.devices}). GPU-hours are hours of the clock times all of them: "
        f"generation and entailment use {plan.assumed.generating_gpus} of them, and the others "
        f"wait.{_served(plan)}"
    )


def _served(plan: Plan) -> str:
    if not plan.params.candidates.served:
        return ""
    return f" The server of candidates uses {plan.assumed.serving_gpus}."


def _stages(plan: Plan) -> TextTable:
    columns = _columns(plan)
    rows = [[show(cost) for _, show, _ in columns] for cost in plan.found]
    whole = [total(plan.found) for _, _, total in columns]
    return TextTable([name for name, _, _ in columns], [*rows, whole])


def _columns(plan: Plan) -> list[Column]:
    gpus, prices = plan.machine.devices, plan.prices
    found: list[Column] = [
        ("stage", lambda c: c.work.stage, lambda _: "all"),
        ("runs", lambda c: str(c.work.runs), lambda _: ""),
        ("examples a run", lambda c: _count(c.work.examples), lambda _: ""),
        ("steps a run", lambda c: _count(c.work.steps), lambda _: ""),
    ]
    if gpus:
        found += [_hours("training h", "training"), _hours("generation h", "generating"),
                  _hours("judging h", "judging")]  # fmt: skip
        found.append(_hours("clock h", "hours"))
    else:
        found.append(_hours("clock min", "hours", 60))
    if gpus:
        found.append(("GPU-h", lambda c: _hour((c.hours or 0) * gpus),
                      lambda all_: _hour(gpus * sum(c.hours or 0 for c in all_))))  # fmt: skip
    where = "a GPU" if gpus else "a process"
    found += [
        (f"peak GB {where}", lambda c: _gb(c.peak), lambda all_: _gb(max(c.peak for c in all_))),
        ("disk GB", lambda c: _gb(c.kept), lambda all_: _gb(sum(c.kept for c in all_))),
        ("passing GB", lambda c: _gb(c.passing), lambda all_: f"peak {_gb(peak_of_disk(all_))}"),
        ("download GB", lambda c: _gb(c.download), lambda all_: _gb(sum(c.download for c in all_))),
    ]
    if plan.params.judging.rated:
        found.append(("judge calls", lambda c: _count(c.ratings),
                      lambda all_: _count(sum(c.ratings for c in all_))))  # fmt: skip
    if prices.gpu_hour is not None or prices.call is not None:
        found.append(("price", lambda c: _price(prices, gpus, [c]),
                      lambda all_: _price(prices, gpus, all_)))  # fmt: skip
    return found


def _hours(title: str, name: str, factor: float = 1) -> Column:
    def value(cost: Cost) -> float | None:
        hours: float | None = getattr(cost, name)
        return None if hours is None else factor * hours

    def total(all_: Sequence[Cost]) -> str:
        known = [hours for cost in all_ if (hours := value(cost)) is not None]
        return _hour(sum(known)) if known else "–"

    return title, lambda cost: _hour(value(cost)), total


def price(prices: Prices, gpus: int, found: Sequence[Cost]) -> float:
    """Return what stages cost: GPU-hours and requests to the judge, each where it has a price."""
    hours = gpus * sum(cost.hours or 0 for cost in found)
    calls = sum(cost.ratings for cost in found)
    return hours * (prices.gpu_hour or 0.0) + calls * (prices.call or 0.0)


def _memory_note(plan: Plan) -> str:
    hardware, zero = plan.params.hardware, plan.zero
    if zero is None:
        return "Without DeepSpeed: fp32 weights, gradients and Adam's moments on each device."
    said = f"{zero.title} ({hardware.deepspeed}). "
    if zero.stage < 2:
        return said + "DeepSpeed has no estimator for it; weights and gradients stay whole."
    said += "Weights, gradients and Adam by DeepSpeed's own estimator"
    if hardware.precision == "bf16":
        return said + ", which assumes 16-bit training with Adam, as it is here."
    return said + ", which assumes 16-bit training: hardware.precision is fp32, which takes more."


def _memory(plan: Plan) -> TextTable:
    held, params = plan.training, plan.params
    tokens, rows = params.training.max_length, params.training.micro_batch_size
    reserve = round(plan.assumed.reserve * GIGA) if plan.machine.devices else 0
    at_once = f"{rows} rows of {tokens} tokens"
    new = plan.assumed.tokens_per_prompt + plan.assumed.new_tokens
    answers = memory.generation(plan.shape, params.hardware, params.generation.batch_size, new)
    where = "a GPU" if plan.machine.devices else "a process"
    rows_of = [
        (f"weights, gradients, Adam, {where}", held.states),
        (f"inputs of the layers, {at_once}", held.inputs),
        ("layers at work" if held.inputs else f"all layers, {at_once}", held.layers),
        (f"logits, {at_once}", held.logits),
        ("reserve", reserve),
        (f"training, {where}", held.whole + reserve),
        (f"generation, {params.generation.batch_size} rows of {new} tokens, {where}",
         answers + reserve),
        ("main memory in training, a node", held.host),
    ]  # fmt: skip
    return TextTable(["what", "GB"], [[name, f"{size / GIGA:.2f}"] for name, size in rows_of])


def _assumptions(plan: Plan) -> TextTable:
    machine = plan.machine
    rows = []
    if machine.devices:
        gpu = machine.gpu
        rows = [
            ["--gpu-memory", f"{gpu.memory:g}", "GB", gpu.source],
            [
                "--tflops",
                f"{gpu.tflops:g}",
                "10^12 operations a second",
                f"{gpu.source}; dense bf16",
            ],
            ["--bandwidth", f"{gpu.bandwidth:g}", "GB a second", gpu.source],
        ]
    for name, value in (("--price-per-gpu-hour", plan.prices.gpu_hour),
                        ("--price-per-call", plan.prices.call)):  # fmt: skip
        if value is not None:
            rows.append([name, f"{value:g}", "as given", "given"])
    for field in fields(Assumptions):
        if not machine.devices and field.name not in ALWAYS:
            continue
        unit, why = WHY[field.name]
        rows.append([field.name, f"{getattr(plan.assumed, field.name):g}", unit, why])
    return TextTable(["assumption", "value", "unit", "what and whence"], rows, left=True)


def _aligned(grid: TextTable) -> str:
    lines = [grid.headers, *grid.rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(grid.headers))]

    def set_(line: Sequence[str]) -> str:
        cells = [
            text.ljust(width) if grid.left or not n else text.rjust(width)
            for n, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join(
        [set_(grid.headers), "  ".join("-" * w for w in widths), *map(set_, grid.rows)]
    )


def _marked(grid: TextTable) -> str:
    marks = ["---" if grid.left or not n else "--:" for n in range(len(grid.headers))]
    lines = [grid.headers, marks, *grid.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _hour(hours: float | None) -> str:
    return "–" if hours is None else f"{hours:.2f}"


def _gb(size: int) -> str:
    return f"{size / GIGA:,.1f}" if size else ""


def _price(prices: Prices, gpus: int, found: Sequence[Cost]) -> str:
    return f"{price(prices, gpus, found):,.2f}"
