-- $1: names of pools. Where nodes define them differently: the smallest and the largest number of slots.
select known.pool, min(known.slots) as fewest, max(known.slots) as most
from flowstone.pool_definitions as known where known.pool = any($1::text[])
group by known.pool having min(known.slots) <> max(known.slots)
