"""Accounts whose balance of a day needs that of the day before: an asset that depends on itself.

Run it: `uv run python examples/account_balance.py`. A bank statement arrives broken; the days after it are skipped,
and are computed when it has been corrected.
"""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal

from flowstone import (
    Context,
    DailyPartitions,
    MultiPartitions,
    Pipeline,
    Runtime,
    StaticPartitions,
    TimeOffset,
)

ACCOUNTS = StaticPartitions(["checking", "savings"])
DAYS = DailyPartitions("2025-03-01", "2025-03-07")
STATEMENTS = MultiPartitions(account=ACCOUNTS, day=DAYS)

LEDGER = {
    ("checking", date(2025, 3, 1)): ["120.00", "-19.90"],
    ("checking", date(2025, 3, 3)): ["-45.50"],
    ("checking", date(2025, 3, 4)): ["12,00"],  # The bank has written a comma.
    ("checking", date(2025, 3, 6)): ["-7.25"],
    ("savings", date(2025, 3, 2)): ["500.00"],
}

pipeline = Pipeline("bank")


@pipeline.asset(partitions=STATEMENTS)
async def payments(context: Context) -> Decimal:
    """What an account took in and paid out in a day."""
    return sum(map(Decimal, LEDGER.get(context.partition, ())), Decimal(0))


@pipeline.asset(partitions=STATEMENTS, mappings={"balance": TimeOffset(days=-1)})
async def balance(payments: Decimal, balance: Decimal = Decimal(100)) -> Decimal:
    """What the account has at the end of the day; it was opened with 100."""
    return balance + payments


async def main() -> None:
    """Compute a week, correct the statement, compute what is missing."""
    async with Runtime(pipeline) as runtime:
        result = await runtime.backfill(balance, upstream=True, max_parallel=8)
        print(f"{len(result.failed)} failed, {len(result.skipped)} skipped")
        failure = result.skipped[-1].failure
        assert failure is not None
        print(failure.message)
        LEDGER["checking", date(2025, 3, 4)] = ["12.00"]
        await runtime.backfill(balance, upstream=True, max_parallel=8)
        for account in ACCOUNTS:
            print(account, await runtime.load(balance, partition=(account, "2025-03-07")))


if __name__ == "__main__":
    asyncio.run(main())
