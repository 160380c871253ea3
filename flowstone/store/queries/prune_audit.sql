-- $1: how many entries stay, $2: how many are taken away at most; returns how many were. They are counted only if numbers
-- say that there may be too many: some numbers were taken and not used.
with kept as materialized (
    select (
        select newest.number from flowstone.audit as newest order by newest.number desc offset $1::bigint - 1 limit 1
    ) as first
    where (select max(newest.number) from flowstone.audit as newest)
        - (select min(oldest.number) from flowstone.audit as oldest) >= $1::bigint
), gone as (
    delete from flowstone.audit where audit.number = any (array(
        select oldest.number from flowstone.audit as oldest, kept where oldest.number < kept.first
        order by oldest.number limit $2))
    returning 1
)
select count(*) as count from gone
