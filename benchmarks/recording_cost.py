"""How much of its time does a training run spend on being recorded?

Run: python benchmarks/recording_cost.py > benchmarks/results/recording_cost.json
One thread, CPU time.  Steps of training and all that is done to record them are timed apart within one run at the
default settings: by `train` (with the kernel at the start), and by `StrataRecorder` in a loop of one's own, without
and with the kernel.  The floor of a recorded step is one forward pass over the contexts: timed on the network alone.

Predicted: 41 recorded steps of 1 ms each beside 20,000 steps of 1 ms, 0.2 %, and for the kernel, d gradients of each of
the 24 contexts, 1 s: below 3 % in all for the MLP, and for the transformer, whose gradients and steps both take longer,
too.  The target is 3 %.
Outcome: 6 to 8 %, nearly all of it the kernel's 1536 gradients.  Made layer by layer (`layer_kernels`), of which 20-fold
was predicted from d in place of m d backward passes, the kernel takes 0.02 s for the MLP (0.9 s before) and 0.1 s for
the transformer (1.5 s before), and recording 0.6 to 1.5 % in all.
"""

import json
import platform
import tempfile
import time
from datetime import date

import torch

from ufmflow.numerics.plan import Plan
from ufmflow.numerics.recorder import StrataRecorder
from ufmflow.numerics.recording import Recording
from ufmflow.numerics.train import reproducible
from ufmflow.numerics.training_steps import Training
from ufmflow.numerics.trajectory import versions
from ufmflow.theory.attributes import Attributes

CASES = {"MLP": {"steps": 20_000}, "transformer": {"arch": "transformer", "steps": 8000}}
TARGET = 0.03


def shares(case, how):
    """CPU seconds of the steps and of their recording, in one run."""
    plan = Plan("objects", **CASES[case])
    spent = {"steps": 0.0, "recording": 0.0}

    def timed(name, call, *arguments):
        start = time.process_time()
        found = call(*arguments)
        spent[name] += time.process_time() - start
        return found

    with reproducible(plan.seed), tempfile.TemporaryDirectory() as folder:
        training = Training(plan)
        if how == "train":
            recorder, finish = Recording(plan), None
            record = lambda: recorder.take(training)  # noqa: E731
        else:
            network = training.network
            recorder = timed("recording", lambda: StrataRecorder(
                f"{folder}/run", features=network.embeddings, head=network.head, inputs=training.tokens,
                attributes=Attributes(plan.formula), label=plan.contexts.label, steps=plan.steps, lr=plan.lr,
                kernel=how == "StrataRecorder with kernel", parameters=network.body.parameters(),
                before_norm=network.features_before_norm))
            record, finish = (lambda: recorder(training.step)), recorder.finish
        timed("recording", record)
        while training.step < plan.steps:
            timed("steps", training.advance)
            timed("recording", record)
        if finish is not None:
            timed("recording", finish)
        with torch.no_grad():
            start = time.process_time()
            for _ in range(100):
                training.network.embeddings(training.tokens)
            forward = (time.process_time() - start) / 100
    part = spent["recording"] / spent["steps"]
    return {"case": case, "how": how, **{name: round(s, 3) for name, s in spent.items()}, "part": round(part, 4),
            "floor": round(41 * forward / spent["steps"], 5), "met": part <= TARGET}


if __name__ == "__main__":
    torch.set_num_threads(1)
    rows = [shares(case, how) for case in CASES for how in ("train", "StrataRecorder", "StrataRecorder with kernel")]
    about = {"date": date.today().isoformat(), "machine": platform.machine()}
    print(json.dumps(about | {"versions": versions() | {"torch": torch.__version__}, "rows": rows}, indent=1))
