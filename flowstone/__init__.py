"""FlowStone: an asset-first data orchestration runtime for Python."""
