"""What a caller has of runs: starting them, waiting for them, reading what they gave."""
