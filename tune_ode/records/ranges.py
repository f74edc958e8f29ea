"""Types of the fields of records, with the ranges that a file must keep to.

They admit whatever can be measured, and exclude what no later step could compute or draw.
"""

from typing import Annotated

from pydantic import Field, Strict

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Seconds = Annotated[Number, Field(ge=0, le=1e10)]
"""A duration of up to 300 years."""
Instant = Annotated[Number, Field(ge=0, le=253_402_300_799)]
"""Unix seconds, up to the year 9999."""
Amount = Annotated[Number, Field(ge=0, le=1e18)]
Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]
Flag = Annotated[bool, Strict()]
