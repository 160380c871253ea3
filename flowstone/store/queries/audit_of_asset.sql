-- $1: an asset, alone or beside others; $2: a run, $3: by whom, $4: before which number, each or null; $5: how many at most.
-- The newest first.
select found.number, found.at, found.action, found.by, found.asset, found.key, found.run_id, found.name, found.reason,
    found.beside, found.details::text
from (
    (select * from flowstone.audit
    where audit.asset = $1 and audit.asset <> '' and ($2::text is null or audit.run_id = $2)
        and ($3::text is null or audit.by = $3) and ($4::bigint is null or audit.number < $4)
    order by audit.number desc limit $5)
    union all
    (select * from flowstone.audit
    where audit.beside @> array[$1::text] and audit.beside is not null and ($2::text is null or audit.run_id = $2)
        and ($3::text is null or audit.by = $3) and ($4::bigint is null or audit.number < $4)
    order by audit.number desc limit $5)
) as found
order by found.number desc limit $5
