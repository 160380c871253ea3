"""A user's classes: models, dataclasses, enums and named tuples of an imaginary shop."""

from __future__ import annotations

import enum
import functools
import math
from dataclasses import InitVar, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeVar
from uuid import UUID

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, PrivateAttr, RootModel, SecretStr

T = TypeVar("T")


class Colour(enum.StrEnum):
    RED = "red"
    CRIMSON = "red"  # An alias.
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2
    ALL = 3


class Right(enum.IntFlag):
    READ = 1
    WRITE = 2
    RUN = 4


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Item(BaseModel):
    sku: str
    price: Decimal
    tags: frozenset[str] = frozenset()


class GiftItem(Item):
    """More than its base: lost by a model's own JSON where the field is declared as the base."""

    greeting: str = "hello"


class Order(BaseModel):
    id: UUID
    day: date
    at: datetime
    items: list[Item]
    score: float = math.nan
    limits: tuple[float, float] = (-math.inf, math.inf)
    colour: Colour = Colour.RED
    position: Point | None = None
    notes: dict[str, Any] = Field(default_factory=dict)


class Aliased(BaseModel):
    model_config = ConfigDict(extra="allow")
    total: int = Field(alias="grandTotal", default=0)
    hidden: str = Field(default="", exclude=True)
    _seen: set[int] = PrivateAttr(default_factory=set)
    _unset: int = PrivateAttr()

    @functools.cached_property
    def double(self) -> int:
        return 2 * self.total


class Hashing(BaseModel):
    """Its validator changes what it is given, each time."""

    password: Annotated[str, AfterValidator(lambda text: f"hash({text})")]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    x: int


class Numbers(RootModel[list[int]]):
    """A model that is a list."""


class Site(BaseModel):
    """Fields only pydantic knows how to write."""

    url: HttpUrl
    address: IPv4Address
    path: Path
    alias_url: HttpUrl | None = Field(default=None, alias="aliasUrl")


class Login(BaseModel):
    secret: SecretStr


class Loose(BaseModel):
    """A URL sends it to its own JSON, where the enum would come back as its number."""

    url: HttpUrl
    anything: Any


class Box(BaseModel, Generic[T]):
    content: T


BoxOfItem = Box[Item]


@dataclass
class Line:
    sku: str
    amount: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    unit: ClassVar[str] = "piece"


@dataclass(frozen=True, slots=True, order=True)
class Key:
    region: str
    day: date


@dataclass
class Computed:
    """Its __post_init__ must not run again, and what it left must come back."""

    base: int
    factor: InitVar[int]
    runs: list[str] = field(default_factory=list, init=False)
    secret: str = field(default="", repr=False, compare=False)

    def __post_init__(self, factor):
        self.product = self.base * factor
        self.runs.append("ran")

    @functools.cached_property
    def square(self):
        return self.base**2


@dataclass
class Tree:
    value: Any
    children: list[Tree] = field(default_factory=list)


@dataclass
class Named(dict):
    """A dataclass with the layout of a dict."""

    name: str


@pydantic.dataclasses.dataclass
class Checked:
    x: int


class Outer:
    @dataclass
    class Inner:
        """A class inside a class."""

        x: int
