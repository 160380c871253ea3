"""Where user code runs: on the loop, in threads, in worker processes; guarded and able to be stopped."""
