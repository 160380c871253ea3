-- $1: assets. Of each its partition keys, joined by a character that is in none, that have a current value, whose newest record is a failure, or
-- whose newest record says that they were skipped or cancelled.
select current.asset, 'succeeded' as status, string_agg(current.key, chr(31)) as keys
from flowstone.current where current.asset = any ($1::text[]) and current.valid group by current.asset
union all
select made.asset, made.status, string_agg(made.key, chr(31))
from flowstone.materializations as made
where made.asset = any ($1::text[]) and made.kept and made.status in ('failed', 'skipped', 'cancelled') and not exists (
    select from flowstone.materializations as newer
    where newer.asset = made.asset and newer.key = made.key and newer.kept and newer.arrival > made.arrival
)
group by made.asset, made.status
