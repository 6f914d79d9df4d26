"""Direct preference optimisation (DPO, Rafailov et al., 2023) by TRL's trainer."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from transformers import PrinterCallback

from reproduce.models.load import load_model, load_tokenizer
from reproduce.schema import Example
from reproduce.training.launch import Job, Trained
from reproduce.training.trainer import loss_history, training_arguments
from reproduce.utils.seeds import set_determinism

SHARED = ("output_dir", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps",
          "learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps",
          "weight_decay", "adam_beta2", "optim", "seed", "data_seed", "bf16", "logging_steps",
          "save_strategy", "save_only_model", "report_to", "disable_tqdm", "dataloader_pin_memory",
          "use_cpu")  # fmt: skip
"""What TRL's trainers take from the arguments of our own."""


def train_on_preferences(
    job: Job, examples: Sequence[Example], rejected: Sequence[str], beta: float
) -> Trained:
    """Train to prefer the responses of `examples` to those `rejected`; as `run_training`.

    `beta` weighs the distance from the model that training starts from.
    """
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    set_determinism(job.seed, job.hardware.threads)
    start, work = Path(job.start), Path(job.output_dir) / "training"
    arguments = training_arguments(job.training, job.hardware, job.data_seed, work, len(examples))
    config = DPOConfig(
        beta=beta, max_length=job.training.max_length,
        gradient_checkpointing=job.hardware.gradient_checkpointing,
        **{name: getattr(arguments, name) for name in SHARED},
    )  # fmt: skip
    rows = [
        {
            "prompt": [{"role": "user", "content": example.prompt}],
            "chosen": [{"role": "assistant", "content": example.response}],
            "rejected": [{"role": "assistant", "content": other}],
        }
        for example, other in zip(examples, rejected, strict=True)
    ]
    model, tokenizer = load_model(start, job.hardware), load_tokenizer(start)
    trainer = DPOTrainer(
        model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    model.save_pretrained(job.output_dir)
    tokenizer.save_pretrained(job.output_dir)
    shutil.rmtree(work, ignore_errors=True)
    return loss_history(trainer.state.log_history), {arguments.max_steps: Path(job.output_dir)}
