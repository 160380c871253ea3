-- $1: runs, $2: how many. What is history of an asset stays, no longer listed by the run.
with chosen as materialized (
    select made.run_id, made.asset, made.key, made.kept and made.status = 'succeeded' as stays
    from flowstone.materializations as made where made.run_id = any ($1::text[]) and made.listed
    order by made.run_id, made.asset, made.key limit $2
    for update
), gone as (
    delete from flowstone.materializations as made using chosen
    where made.run_id = chosen.run_id and made.asset = chosen.asset and made.key = chosen.key and not chosen.stays
), unlisted as (
    update flowstone.materializations as made set listed = false from chosen
    where made.run_id = chosen.run_id and made.asset = chosen.asset and made.key = chosen.key and chosen.stays
)
select count(*) as count from chosen
