"""What a training run says while it goes on, and where it stops."""

import math
import time
from collections.abc import Callable, Collection
from typing import Any


def watch(
    title: str, stops: Collection[int] = (), stop: Callable[[int], None] | None = None
) -> Any:
    """Return a callback that calls `stop(step)` at `stops` and says how long it still takes.

    It raises FloatingPointError at the first loss that is not a number.
    """
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]
        """See `watch`."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.began = self.said = time.monotonic()
            self.first = state.global_step

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            # The last loss is always logged, so a run cannot end in one that nobody saw.
            control.should_log |= state.global_step == state.max_steps
            if stop and state.global_step in stops:
                stop(state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            loss = (logs or {}).get("loss")
            if loss is None:
                return
            if not math.isfinite(loss):
                raise FloatingPointError(f"{title}: loss is {loss} at step {state.global_step}")
            now = time.monotonic()
            if now - self.said < 10 or not state.is_world_process_zero:
                return
            self.said = now
            pace = (now - self.began) / (state.global_step - self.first)
            left = pace * (state.max_steps - state.global_step)
            print(
                f"  {title}: step {state.global_step}/{state.max_steps}, "
                f"loss {loss:.3f}, about {left:.0f} s left",
                flush=True,
            )

    return Watch()
