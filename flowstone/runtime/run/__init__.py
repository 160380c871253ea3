"""One run, from its plan to its final status, and the runs that this process drives."""
