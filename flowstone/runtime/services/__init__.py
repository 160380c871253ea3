"""What runs share while they run: events, IO managers, resources, slots, what is known of other nodes."""
