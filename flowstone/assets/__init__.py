"""What exists: assets, pipelines, the graph, partition keys, partition sets and mappings; pure."""
