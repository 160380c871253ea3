-- $1: assets. Of each its partition keys, joined by a character that is in none, that have no current value and whose newest record says that
-- they were skipped: by the step that was the cause, and those that were skipped by choice under null.
select made.asset,
    case when made.details #>> '{failure,kind}' is distinct from 'skip' then coalesce(made.details #>> '{failure,cause}', '') end as cause,
    string_agg(made.key, chr(31)) as keys
from flowstone.materializations as made
where made.asset = any ($1::text[]) and made.kept and made.status = 'skipped' and not exists (
    select from flowstone.materializations as newer
    where newer.asset = made.asset and newer.key = made.key and newer.kept and newer.arrival > made.arrival
) and not exists (
    select from flowstone.current where current.asset = made.asset and current.key = made.key and current.valid
)
group by 1, 2
