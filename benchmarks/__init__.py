"""What FlowStone costs, measured beside the least a program could do: see README.md in this folder."""
