"""One step, the chunked loop that repeats it, optimizers, schedules and checkpoints."""
