"""Graphs as text."""

from __future__ import annotations

from flowstone.assets import Pipeline

pipeline = Pipeline("sales")


@pipeline.asset
def orders(): ...


@pipeline.asset
def customers(): ...


@pipeline.asset
def cleaned(orders): ...


@pipeline.asset(deps=["customers"])
def report(cleaned, orders): ...


@pipeline.asset
def mail(report=None): ...


@pipeline.asset
def archive(cleaned): ...


def test_mermaid_has_a_node_and_an_arrow_for_each():
    """Solid arrows for what is needed, dotted ones for what is optional."""
    assert pipeline.graph.to_mermaid() == (
        "flowchart LR\n"
        '    orders["orders"]\n'
        '    customers["customers"]\n'
        '    cleaned["cleaned"]\n'
        '    report["report"]\n'
        '    mail["mail"]\n'
        '    archive["archive"]\n'
        "    orders --> cleaned\n"
        "    cleaned --> report\n"
        "    orders --> report\n"
        "    customers --> report\n"
        "    report -.-> mail\n"
        "    cleaned --> archive\n"
    )


def test_mermaid_words_are_not_used_as_ids():
    """`end` and its like would break the chart, and their stand-ins never meet another asset."""
    words = Pipeline("words")
    for name in ("end", "end_", "graph", "Default"):
        words.value(name, 1)
    chart = words.graph.to_mermaid()
    assert '    end__["end"]\n' in chart
    assert '    end_["end_"]\n' in chart
    assert '    graph_["graph"]\n' in chart
    assert '    Default_["Default"]\n' in chart


def test_dot_has_an_edge_for_each_dependency():
    """Dashed for what is optional, dotted for what loads no value."""
    drawn = pipeline.graph.to_dot()
    assert drawn.startswith("digraph assets {\n")
    assert drawn.endswith("}\n")
    assert '    "orders" -> "report";\n' in drawn
    assert '    "report" -> "mail" [style=dashed];\n' in drawn
    assert '    "customers" -> "report" [style=dotted];\n' in drawn
    assert drawn.count("->") == 6


def test_the_tree_shows_each_asset_once():
    """Below the last of its upstream assets, with the others beside it."""
    assert pipeline.graph.to_ascii() == (
        "orders\n└─ cleaned\n   ├─ report  (and orders, customers)\n   │  └─ mail\n   └─ archive\ncustomers\n"
    )


def test_an_empty_graph_says_so():
    """There is nothing to draw, and that is said."""
    assert Pipeline("empty").graph.to_ascii() == "(no assets)\n"
    assert Pipeline("empty").graph.to_mermaid() == "flowchart LR\n"
