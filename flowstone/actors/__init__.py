"""The actor core: typed messages, mailboxes, references and OTP supervisors; it knows nothing of assets.

How the files lie, from the ground up (each imports only from those above it, for types as well):

    exits, limits, clock, tree, strategy, report,
    affinity, waiters                                 values and pure rules
    messages                                          what actors say to each other
    spawn                                             the one place that makes tasks: drive, guard, stop, kill
    eager, child_tasks                                first steps taken at once; the owner of each task
    supervisor_context                                what a supervisor keeps: clock, reports, leftovers
    mailbox, process, ref                             what every process has; how one speaks to it
    actor, child, refusals, tasks                     the kinds of workers, and what is said of one
    children, supervision, supervisor                 supervisors
    early                                             to begin a part of the tree before it is made
    registry                                          names for ids known at run time
"""

from __future__ import annotations

from flowstone.actors.actor import Actor, Me
from flowstone.actors.child import Child, ChildCount
from flowstone.actors.clock import Clock, SystemClock, Timer
from flowstone.actors.exits import Crashed, Exit, Killed, Normal, Shutdown
from flowstone.actors.mailbox import MailboxStatistics
from flowstone.actors.messages import Call, Cast, Later
from flowstone.actors.process import Runnable
from flowstone.actors.ref import Ref
from flowstone.actors.registry import Registry
from flowstone.actors.report import Report
from flowstone.actors.supervisor import Supervisor
from flowstone.actors.tasks import TaskHandle, TaskStatistics, TaskSupervisor
from flowstone.actors.tree import ProcessInfo
from flowstone.errors import (
    ActorDown,
    ActorError,
    CallCycle,
    CallTimeout,
    ChildError,
    MailboxFull,
    NameTaken,
    Rejected,
    StartFailed,
    SupervisorGaveUp,
)

__all__ = [
    "Actor",
    "ActorDown",
    "ActorError",
    "Call",
    "CallCycle",
    "CallTimeout",
    "Cast",
    "Child",
    "ChildCount",
    "ChildError",
    "Clock",
    "Crashed",
    "Exit",
    "Killed",
    "Later",
    "MailboxFull",
    "MailboxStatistics",
    "Me",
    "NameTaken",
    "Normal",
    "ProcessInfo",
    "Ref",
    "Registry",
    "Rejected",
    "Report",
    "Runnable",
    "Shutdown",
    "StartFailed",
    "Supervisor",
    "SupervisorGaveUp",
    "SystemClock",
    "TaskHandle",
    "TaskStatistics",
    "TaskSupervisor",
    "Timer",
]
