"""A recorder as a callback of Lightning (hooks of 2.x) and of the Hugging Face Trainer (transformers 4.x and 5.x).

Both tell the number of updates made as `global_step`, and have stepped the schedule of the learning rate when the hook
comes, so that the rate read there is that of the next update.  The loss of a batch is not passed on: it is that of the
state before the update, on part of the contexts.  Neither library is imported before it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..theory.errors import InputError

if TYPE_CHECKING:
    from .recorder import StrataRecorder


def lightning_callback(recorder: "StrataRecorder") -> Any:
    """A `Callback` of lightning.pytorch, or of pytorch_lightning where only that is installed."""
    base: Any = _base(("lightning.pytorch", "pytorch_lightning"), "Callback", "lightning")

    class RecorderCallback(base):  # type: ignore[misc, valid-type]  # known when it is installed
        """Records on the process that writes; training that is interrupted leaves what was recorded."""

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.is_global_zero:
                recorder.follow(trainer.optimizers[0])
                recorder(trainer.global_step)

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if trainer.is_global_zero:
                recorder(trainer.global_step)

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.is_global_zero:
                recorder.finish()

    return RecorderCallback()


def huggingface_callback(recorder: "StrataRecorder") -> Any:
    """A `TrainerCallback` of transformers."""
    base: Any = _base(("transformers",), "TrainerCallback", "transformers")

    class RecorderCallback(base):  # type: ignore[misc, valid-type]  # known when it is installed
        """Records on the process that writes; training that is interrupted leaves what was recorded."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero:
                recorder.follow(kwargs.get("optimizer"))
                recorder(state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero:
                recorder(state.global_step)

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero:
                recorder.finish()

    return RecorderCallback()


def _base(modules: tuple[str, ...], name: str, package: str) -> Any:
    for module in modules:
        try:
            return getattr(import_module(module), name)
        except ImportError:
            continue
    raise InputError(f"{package}: it is not installed, so there is nothing to hook into; pip install {package}.")
