-- $1: the node, $2: runs that it owns, $3: the seconds for which each was driven so far, in total.
with wanted as materialized (
    select runs.id, given.spent from unnest($2::text[], $3::double precision[]) as given(id, spent)
    join flowstone.runs on runs.id = given.id
    where runs.owner = $1 and runs.finish_order is null
    order by runs.id
    for update of runs
)
update flowstone.runs set spent = wanted.spent from wanted where runs.id = wanted.id and runs.spent < wanted.spent
