"""The public namespaces: exactly the listed names, sorted, importable and documented."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

FLOWSTONE = [
    "AccessToken",
    "AccessTokenNotFound",
    "AccessTokenTaken",
    "AllPartitions",
    "AlreadyDecided",
    "Approval",
    "ApprovalNotFound",
    "Asset",
    "AssetDescription",
    "AssetNotFound",
    "AuditEntry",
    "Automation",
    "AutomationError",
    "AutomationNotFound",
    "AutomationStatus",
    "Batch",
    "ConditionContext",
    "Config",
    "ConfigError",
    "Context",
    "CycleError",
    "DailyPartitions",
    "Decision",
    "DefinitionError",
    "DependencyNotReady",
    "DuplicateAsset",
    "DynamicPartitions",
    "Each",
    "Event",
    "Explanation",
    "Failure",
    "FeedEntry",
    "FeedExpired",
    "FileIO",
    "FileSensor",
    "Fire",
    "FiredRun",
    "FlowstoneError",
    "Freshness",
    "FreshnessStatus",
    "HourlyPartitions",
    "IOManager",
    "IOManagerError",
    "Item",
    "LastPartitions",
    "LogLine",
    "Materialization",
    "MaterializationFailed",
    "MemoryIO",
    "MonthlyPartitions",
    "MultiPartitions",
    "NodeStatus",
    "ObjectSensor",
    "Outcome",
    "Output",
    "PartitionError",
    "Permanent",
    "Pipeline",
    "PlanOutdated",
    "Pool",
    "PostgresIO",
    "Progress",
    "QueuedStep",
    "Resource",
    "ResourceProvider",
    "ResourceUnavailable",
    "Retry",
    "Retryable",
    "Role",
    "Rollup",
    "Run",
    "RunCancelled",
    "RunFailed",
    "RunNotFound",
    "RunRecord",
    "RunRequest",
    "RunResult",
    "RunningStep",
    "Runtime",
    "RuntimeStopping",
    "SamePart",
    "SelectionError",
    "SensorContext",
    "Settings",
    "Skip",
    "StaticPartitions",
    "Status",
    "StoreUnavailable",
    "Stored",
    "Target",
    "Tick",
    "TimeOffset",
    "Timeline",
    "TimelineAttempt",
    "TokenExpired",
    "TokenUnknown",
    "TokenUsed",
    "TypeMismatch",
    "UnknownDependency",
    "ValueNotFound",
    "Waiting",
    "WaitingStep",
    "WaitsForItself",
    "WebhookAlert",
    "WeeklyPartitions",
    "WrongLoop",
    "decode_partition",
    "encode_partition",
    "materialize",
]

ACTORS = [
    "Actor",
    "ActorDown",
    "Call",
    "CallCycle",
    "CallTimeout",
    "Cast",
    "Child",
    "Crashed",
    "Exit",
    "Killed",
    "Later",
    "MailboxFull",
    "Normal",
    "Ref",
    "Registry",
    "Rejected",
    "Shutdown",
    "Supervisor",
    "SupervisorGaveUp",
]

HEAVY = ["asyncpg", "cronsim", "opentelemetry", "pgqueuer", "pydantic_settings", "rich", "structlog", "typer"]


def test_flowstone_exports_exactly_the_listed_names():
    """A name that leaks into, or falls out of, the public namespace is noticed."""
    assert sorted(importlib.import_module("flowstone").__all__) == sorted(FLOWSTONE)


def test_actors_exports_at_least_the_contract():
    """Every name of the actor contract is public."""
    assert set(ACTORS) <= set(importlib.import_module("flowstone.actors").__all__)


@pytest.mark.parametrize(
    "namespace",
    ["flowstone", "flowstone.actors", "flowstone.client", "flowstone.errors", "flowstone.testing"],
)
def test_names_are_sorted_unique_and_there(namespace):
    """`__all__` is sorted without repetition, and every name in it can be imported."""
    module = importlib.import_module(namespace)
    names = list(getattr(module, "__all__", []))
    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.parametrize("namespace", ["flowstone", "flowstone.actors", "flowstone.errors"])
def test_public_names_are_documented(namespace):
    """Every public class and function has a docstring of its own."""
    module = importlib.import_module(namespace)
    things = {name: getattr(module, name) for name in module.__all__}
    documentable = {name: it for name, it in things.items() if inspect.isclass(it) or inspect.isfunction(it)}
    assert documentable
    assert [name for name, it in documentable.items() if not vars(it).get("__doc__", it.__doc__)] == []


def test_importing_flowstone_is_light():
    """`import flowstone` loads none of the heavy libraries it may need later."""
    code = f"import sys, flowstone; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert loaded == []
