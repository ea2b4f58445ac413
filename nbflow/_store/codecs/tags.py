"""tags: the msgpack extension code of each type. Published: no number is ever reused."""

from __future__ import annotations

from typing import Final

BIG_INT: Final = 1
SURROGATES: Final = 2
TUPLE: Final = 3
SET: Final = 4
FROZENSET: Final = 5
PAIRS: Final = 6
BYTEARRAY: Final = 7
COMPLEX: Final = 8
DECIMAL: Final = 9
FRACTION: Final = 10
UUID: Final = 11
PATH: Final = 12
DATE: Final = 13
TIME: Final = 14
DATETIME: Final = 15
TIMEDELTA: Final = 16
TIMEZONE: Final = 17
ZONEINFO: Final = 18
PYTZ: Final = 19
RANGE: Final = 20
SLICE: Final = 21
ORDERED_DICT: Final = 22
COUNTER: Final = 23
DEFAULTDICT: Final = 24
DEQUE: Final = 25
SECRET: Final = 26
QUOTE: Final = 27

ENUM: Final = 30
FLAG: Final = 31
NAMEDTUPLE: Final = 32
DATACLASS: Final = 33
ATTRS: Final = 34
PYDANTIC: Final = 35

ARRAY: Final = 40
OBJECT_ARRAY: Final = 41
NUMPY_SCALAR: Final = 42
TABLE: Final = 43

TIMESTAMP: Final = 50
PANDAS_TIMEDELTA: Final = 51
PERIOD: Final = 52
INTERVAL: Final = 53
NOT_A_TIME: Final = 54
NOT_AVAILABLE: Final = 55
