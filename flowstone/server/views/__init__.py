"""What pages show: values read from the runtime's public calls, put together for people."""
