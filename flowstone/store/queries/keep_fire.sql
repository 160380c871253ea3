-- $1: a pipeline; $2: a name; $3: the version that it led to; $4: what was done; $5: its runs; $6: the answer;
-- $7: how many are kept, besides those with runs that are not over.
with kept as (
    insert into flowstone.automation_fires (pipeline, name, version, fire, runs)
    select $1, $2, $3, $4::json, $5::text[] where $4::text is not null
    returning version
),
answered as (
    update flowstone.automations set answer = $6::json where pipeline = $1 and name = $2
)
delete from flowstone.automation_fires as old where old.pipeline = $1 and old.name = $2 and old.version <= (
    select fires.version from flowstone.automation_fires as fires, kept
    where fires.pipeline = $1 and fires.name = $2
    order by fires.version desc offset $7 - 1 limit 1
) and not exists (
    select from flowstone.runs where runs.id = any(old.runs) and runs.finish_order is null
)
