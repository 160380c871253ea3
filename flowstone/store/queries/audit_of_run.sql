-- $1: a run; $2: by whom, $3: before which number, each or null; $4: how many at most. The newest first.
select audit.number, audit.at, audit.action, audit.by, audit.asset, audit.key, audit.run_id, audit.name, audit.reason,
    audit.beside, audit.details::text
from flowstone.audit
where audit.run_id = $1 and audit.run_id <> '' and ($2::text is null or audit.by = $2)
    and ($3::bigint is null or audit.number < $3)
order by audit.number desc limit $4
