"""FlowStone: an asset-first data orchestration runtime for Python.

How the package is laid out; each layer imports only from those below it:

    cli/  server/  testing/ the command line; the pages and the HTTP API; helpers for your tests
    client/  wire/          a server, asked from anywhere; what goes over HTTP
    runtime/                the supervision tree, one file per process (tree.py shows it whole)
    store/  io/             where runs are remembered; where values live
    alerts/  sensors/       who is told outside; what is found outside
    runs/                   pure: plans, events, the state machine of a run
    assets/                 pure: assets, pipelines, the graph, partitions
    actors/                 the actor core; knows nothing of assets
    errors.py               every exception, drawn at the top

The names below are the public ones; they are loaded when first used, so `import flowstone` costs next to
nothing. `flowstone.actors` has public names of its own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowstone.alerts.webhook import WebhookAlert as WebhookAlert
    from flowstone.assets.asset import Asset as Asset
    from flowstone.assets.automation.condition import Automation as Automation
    from flowstone.assets.automation.condition import ConditionContext as ConditionContext
    from flowstone.assets.automation.freshness import Freshness as Freshness
    from flowstone.assets.automation.run_request import RunRequest as RunRequest
    from flowstone.assets.automation.schedule import Tick as Tick
    from flowstone.assets.automation.sensor import SensorContext as SensorContext
    from flowstone.assets.calendar_partitions import DailyPartitions as DailyPartitions
    from flowstone.assets.calendar_partitions import MonthlyPartitions as MonthlyPartitions
    from flowstone.assets.calendar_partitions import WeeklyPartitions as WeeklyPartitions
    from flowstone.assets.config import Config as Config
    from flowstone.assets.context import Context as Context
    from flowstone.assets.description import AssetDescription as AssetDescription
    from flowstone.assets.dynamic_partitions import DynamicPartitions as DynamicPartitions
    from flowstone.assets.each import Batch as Batch
    from flowstone.assets.each import Each as Each
    from flowstone.assets.hourly_partitions import HourlyPartitions as HourlyPartitions
    from flowstone.assets.last_partitions import LastPartitions as LastPartitions
    from flowstone.assets.mappings import Rollup as Rollup
    from flowstone.assets.mappings import SamePart as SamePart
    from flowstone.assets.multi_partitions import MultiPartitions as MultiPartitions
    from flowstone.assets.outcome import Outcome as Outcome
    from flowstone.assets.output import Output as Output
    from flowstone.assets.partition_keys import decode_partition as decode_partition
    from flowstone.assets.partition_keys import encode_partition as encode_partition
    from flowstone.assets.partition_mapping import AllPartitions as AllPartitions
    from flowstone.assets.pipeline import Pipeline as Pipeline
    from flowstone.assets.retry import Retry as Retry
    from flowstone.assets.signature import Resource as Resource
    from flowstone.assets.static_partitions import StaticPartitions as StaticPartitions
    from flowstone.assets.time_offset import TimeOffset as TimeOffset
    from flowstone.assets.waiting import Decision as Decision
    from flowstone.errors import AccessTokenNotFound as AccessTokenNotFound
    from flowstone.errors import AccessTokenTaken as AccessTokenTaken
    from flowstone.errors import AlreadyDecided as AlreadyDecided
    from flowstone.errors import ApprovalNotFound as ApprovalNotFound
    from flowstone.errors import AssetNotFound as AssetNotFound
    from flowstone.errors import AutomationError as AutomationError
    from flowstone.errors import AutomationNotFound as AutomationNotFound
    from flowstone.errors import ConfigError as ConfigError
    from flowstone.errors import CycleError as CycleError
    from flowstone.errors import DefinitionError as DefinitionError
    from flowstone.errors import DependencyNotReady as DependencyNotReady
    from flowstone.errors import DuplicateAsset as DuplicateAsset
    from flowstone.errors import FeedExpired as FeedExpired
    from flowstone.errors import FlowstoneError as FlowstoneError
    from flowstone.errors import IOManagerError as IOManagerError
    from flowstone.errors import MaterializationFailed as MaterializationFailed
    from flowstone.errors import PartitionError as PartitionError
    from flowstone.errors import Permanent as Permanent
    from flowstone.errors import PlanOutdated as PlanOutdated
    from flowstone.errors import ResourceUnavailable as ResourceUnavailable
    from flowstone.errors import Retryable as Retryable
    from flowstone.errors import RunCancelled as RunCancelled
    from flowstone.errors import RunFailed as RunFailed
    from flowstone.errors import RunNotFound as RunNotFound
    from flowstone.errors import RuntimeStopping as RuntimeStopping
    from flowstone.errors import SelectionError as SelectionError
    from flowstone.errors import Skip as Skip
    from flowstone.errors import StoreUnavailable as StoreUnavailable
    from flowstone.errors import TokenExpired as TokenExpired
    from flowstone.errors import TokenUnknown as TokenUnknown
    from flowstone.errors import TokenUsed as TokenUsed
    from flowstone.errors import TypeMismatch as TypeMismatch
    from flowstone.errors import UnknownDependency as UnknownDependency
    from flowstone.errors import ValueNotFound as ValueNotFound
    from flowstone.errors import Waiting as Waiting
    from flowstone.errors import WaitsForItself as WaitsForItself
    from flowstone.errors import WrongLoop as WrongLoop
    from flowstone.io.files import FileIO as FileIO
    from flowstone.io.manager import IOManager as IOManager
    from flowstone.io.manager import Stored as Stored
    from flowstone.io.manager import Target as Target
    from flowstone.io.memory import MemoryIO as MemoryIO
    from flowstone.io.postgres import PostgresIO as PostgresIO
    from flowstone.runs.access import AccessToken as AccessToken
    from flowstone.runs.access import Role as Role
    from flowstone.runs.asset_freshness import FreshnessStatus as FreshnessStatus
    from flowstone.runs.audit import AuditEntry as AuditEntry
    from flowstone.runs.automation import Fire as Fire
    from flowstone.runs.automation import FiredRun as FiredRun
    from flowstone.runs.automation_events import Event as Event
    from flowstone.runs.automation_status import AutomationStatus as AutomationStatus
    from flowstone.runs.explanation import Explanation as Explanation
    from flowstone.runs.items import Item as Item
    from flowstone.runs.log_line import LogLine as LogLine
    from flowstone.runs.pools import Pool as Pool
    from flowstone.runs.queued_step import QueuedStep as QueuedStep
    from flowstone.runs.records import Failure as Failure
    from flowstone.runs.records import Materialization as Materialization
    from flowstone.runs.records import RunRecord as RunRecord
    from flowstone.runs.records import Status as Status
    from flowstone.runs.running_step import RunningStep as RunningStep
    from flowstone.runs.waits import Approval as Approval
    from flowstone.runs.waits import WaitingStep as WaitingStep
    from flowstone.runtime.client.handle import Run as Run
    from flowstone.runtime.client.nodes import NodeStatus as NodeStatus
    from flowstone.runtime.client.progress import Progress as Progress
    from flowstone.runtime.client.result import RunResult as RunResult
    from flowstone.runtime.client.timeline import Timeline as Timeline
    from flowstone.runtime.client.timeline import TimelineAttempt as TimelineAttempt
    from flowstone.runtime.once import materialize as materialize
    from flowstone.runtime.runtime import Runtime as Runtime
    from flowstone.runtime.services.providers import ResourceProvider as ResourceProvider
    from flowstone.runtime.settings import Settings as Settings
    from flowstone.sensors.files import FileSensor as FileSensor
    from flowstone.sensors.objects import ObjectSensor as ObjectSensor
    from flowstone.store.feed import FeedEntry as FeedEntry

__all__ = [
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

_HOME = {
    "alerts.webhook": ("WebhookAlert",),
    "assets.asset": ("Asset",),
    "assets.calendar_partitions": ("DailyPartitions", "MonthlyPartitions", "WeeklyPartitions"),
    "assets.config": ("Config",),
    "assets.context": ("Context",),
    "assets.dynamic_partitions": ("DynamicPartitions",),
    "assets.description": ("AssetDescription",),
    "assets.each": ("Batch", "Each"),
    "assets.hourly_partitions": ("HourlyPartitions",),
    "assets.last_partitions": ("LastPartitions",),
    "assets.mappings": ("Rollup", "SamePart"),
    "assets.multi_partitions": ("MultiPartitions",),
    "assets.outcome": ("Outcome",),
    "assets.output": ("Output",),
    "assets.partition_keys": ("decode_partition", "encode_partition"),
    "assets.partition_mapping": ("AllPartitions",),
    "assets.pipeline": ("Pipeline",),
    "assets.signature": ("Resource",),
    "assets.retry": ("Retry",),
    "assets.static_partitions": ("StaticPartitions",),
    "assets.time_offset": ("TimeOffset",),
    "assets.waiting": ("Decision",),
    "io.files": ("FileIO",),
    "io.manager": ("IOManager", "Stored", "Target"),
    "io.memory": ("MemoryIO",),
    "io.postgres": ("PostgresIO",),
    "assets.automation.condition": ("Automation", "ConditionContext"),
    "assets.automation.freshness": ("Freshness",),
    "assets.automation.run_request": ("RunRequest",),
    "assets.automation.schedule": ("Tick",),
    "assets.automation.sensor": ("SensorContext",),
    "runs.asset_freshness": ("FreshnessStatus",),
    "runs.access": ("AccessToken", "Role"),
    "runs.audit": ("AuditEntry",),
    "runs.automation": ("Fire", "FiredRun"),
    "runs.automation_events": ("Event",),
    "runs.explanation": ("Explanation",),
    "runs.automation_status": ("AutomationStatus",),
    "runs.items": ("Item",),
    "runs.log_line": ("LogLine",),
    "runs.records": ("Failure", "Materialization", "RunRecord", "Status"),
    "runs.queued_step": ("QueuedStep",),
    "runs.running_step": ("RunningStep",),
    "runs.pools": ("Pool",),
    "runs.waits": ("Approval", "WaitingStep"),
    "runtime.client.handle": ("Run",),
    "runtime.once": ("materialize",),
    "runtime.client.nodes": ("NodeStatus",),
    "runtime.client.progress": ("Progress",),
    "runtime.services.providers": ("ResourceProvider",),
    "runtime.client.result": ("RunResult",),
    "runtime.client.timeline": ("Timeline", "TimelineAttempt"),
    "runtime.runtime": ("Runtime",),
    "runtime.settings": ("Settings",),
    "sensors.files": ("FileSensor",),
    "sensors.objects": ("ObjectSensor",),
    "store.feed": ("FeedEntry",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'flowstone' has no attribute {name!r}")
    value = getattr(import_module(f"flowstone.{_MODULE_OF.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
