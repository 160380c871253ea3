"""Classes whose state lies in unusual places, and generic ones."""

from __future__ import annotations

import enum
import functools
from collections import deque
from dataclasses import InitVar, dataclass, field
from datetime import datetime, time
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Network, IPv6Interface
from re import Pattern
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import pydantic
from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    HttpUrl,
    PlainSerializer,
    PlainValidator,
    PostgresDsn,
    PrivateAttr,
    RootModel,
    SecretStr,
    computed_field,
    field_serializer,
)
from pydantic_core import core_schema

T = TypeVar("T")
K = TypeVar("K")


# pydantic ---------------------------------------------------------------------------------------------------


class Visit(BaseModel):
    """What pydantic parses itself, beside what only it can write."""

    url: HttpUrl
    address: IPv4Address
    at: datetime
    note: str = "none"
    database: PostgresDsn | None = None
    size: ByteSize = ByteSize(1)


class Network(BaseModel):
    net: IPv4Network
    interface: IPv6Interface
    pattern: Pattern[str]
    share: Fraction
    recent: deque[int] = Field(default_factory=lambda: deque([1, 2], maxlen=3))
    moments: dict[str, list[datetime]] = Field(default_factory=dict)
    opens: time = time(8)


class Unit:
    """A type of the user's that tells pydantic how to write it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unit) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Unit({self.name!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        return core_schema.no_info_plain_validator_function(
            lambda given: given if isinstance(given, cls) else cls(given),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda unit: unit.name),
        )


class Forgetful(Unit):
    """Its JSON has not all that it keeps."""

    note = ""


class Foreign:
    """A type of a library that knows nothing of pydantic."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Foreign) and other.size == self.size

    def __hash__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"Foreign({self.size})"


Adapted = Annotated[
    Foreign,
    PlainValidator(lambda given: given if isinstance(given, Foreign) else Foreign(given)),
    PlainSerializer(lambda foreign: foreign.size),
]


class Measured(BaseModel):
    """One field only the model can write, beside fields that its JSON would change."""

    foreign: Adapted
    at: datetime
    anything: Any = None
    many: list[Adapted] = Field(default_factory=list)
    unit: Unit | None = None
    _seen: int = PrivateAttr(default=0)


class OpenSecret(BaseModel):
    """A model that gives its secret away in its JSON."""

    secret: SecretStr

    @field_serializer("secret", when_used="json")
    def show(self, secret: SecretStr) -> str:
        return secret.get_secret_value()


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str = Field(alias="dogName")


class LoopAffinity(BaseModel):
    model_config = ConfigDict(frozen=True)
    pet: Cat | Dog = Field(discriminator="kind")
    others: tuple[Cat | Dog, ...] = ()

    @computed_field
    @functools.cached_property
    def size(self) -> int:
        return 1 + len(self.others)


class SlotModel(BaseModel):
    """A model with a slot."""

    __slots__ = ("cache",)
    x: int


class Page(BaseModel, Generic[T]):
    items: list[T]
    total: int = 0


class Pair(BaseModel, Generic[T, K]):
    left: T
    right: K


class Urls(RootModel[list[HttpUrl]]):
    pass


class OrderPage(Page[Cat]):
    """A generic model with a name of its own."""


@pydantic.dataclasses.dataclass(config=ConfigDict(extra="allow"))
class OpenChecked:
    x: int


# Dataclasses ------------------------------------------------------------------------------------------------


@dataclass
class Box(Generic[T]):
    content: T


@dataclass(frozen=True)
class FrozenBox(Generic[T]):
    content: T


class SlotBase:
    __slots__ = ("__private", "note")

    def hide(self, what: object) -> None:
        self.__private = what

    def hidden(self) -> object:
        return self.__private


@dataclass
class OnSlots(SlotBase):
    x: int


@dataclass(slots=True)
class AllSlots(SlotBase):
    x: int


@dataclass
class Shadowing(SlotBase):
    """Gives the name of a slot to something else."""

    x: int
    note = "class"


@dataclass
class WithProperty:
    """A field that is a property: what is kept has another name."""

    x: int

    @property
    def x(self) -> int:
        return self._x

    @x.setter
    def x(self, given: int) -> None:
        self._x = given + 1


@dataclass(kw_only=True, frozen=True)
class Strict:
    a: int
    b: int = field(default=5, init=False)
    c: InitVar[int] = 0
    d: list[int] = field(default_factory=list, init=False)

    def __post_init__(self, c: int) -> None:
        object.__setattr__(self, "e", c)


# Others -----------------------------------------------------------------------------------------------------


class PlainPoint(NamedTuple):
    x: int
    y: int = 0


class Marked(PlainPoint):
    """A named tuple that may have attributes."""


class GenericPoint(NamedTuple, Generic[T]):
    x: T


class Mood(enum.Enum):
    GOOD = enum.auto()
    BAD = enum.auto()

    def __init__(self, _: int) -> None:
        self.count = 0
