"""What happens: plans, events, the run state machine, retry policy and records; pure."""
