"""IO managers: where values live."""
