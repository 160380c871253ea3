"""What a runtime does by itself: the processes of schedules, sensors and listeners."""
