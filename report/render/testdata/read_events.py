"""Prints what TensorBoard reads in an event file, a line for each scalar:
tag, step, wall time, value.

    python -m venv V && V/bin/pip install tensorboard
    V/bin/python read_events.py events.out.tfevents.0000000001.temper > tensorboard.txt
"""

import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

acc = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0})
acc.Reload()
for tag in sorted(acc.Tags()["scalars"]):
    for e in acc.Scalars(tag):
        print(f"{tag} {e.step} {e.wall_time:.6g} {e.value:.6g}")
