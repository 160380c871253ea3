"""Several nodes on one store: who lives, who drives which run, who executes which step."""
