-- $1: assets. Of each how many partitions have a current value, how many have a newest record that made none, by its status,
-- and how many of these have a current value all the same.
select current.asset, 'succeeded' as status, count(*) as number, count(*) as with_value
from flowstone.current where current.asset = any ($1::text[]) and current.valid group by current.asset
union all
select made.asset, made.status, count(*), count(*) filter (where current.valid)
from flowstone.materializations as made
left join flowstone.current on current.asset = made.asset and current.key = made.key
where made.asset = any ($1::text[]) and made.kept and made.status in ('failed', 'skipped', 'cancelled') and not exists (
    select from flowstone.materializations as newer
    where newer.asset = made.asset and newer.key = made.key and newer.kept and newer.arrival > made.arrival
)
group by made.asset, made.status
