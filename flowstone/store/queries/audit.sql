-- $1: by whom, $2: before which number, each or null; $3: how many at most. The newest first.
select audit.number, audit.at, audit.action, audit.by, audit.asset, audit.key, audit.run_id, audit.name, audit.reason,
    audit.beside, audit.details::text
from flowstone.audit
where ($1::text is null or audit.by = $1) and ($2::bigint is null or audit.number < $2)
order by audit.number desc limit $3
