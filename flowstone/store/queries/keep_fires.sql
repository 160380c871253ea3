-- Of each change $1: a pipeline; $2: a name; $3: the version that it led to; $4: what was done, or null; $5: its runs and
-- $6: the answer, as JSON; $7: how many of an automation are kept, besides those with runs that are not over; $8: what
-- these changes are known by.
with given as materialized (
    select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[])
        as given(pipeline, name, version, fire, runs, answer)
),
kept as (
    insert into flowstone.automation_fires (pipeline, name, version, fire, runs, token, answer)
    select given.pipeline, given.name, given.version, given.fire::json,
        array(select json_array_elements_text(given.runs::json)), $8, given.answer::json
    from given where given.fire is not null
    returning pipeline, name
),
answered as (
    update flowstone.automations as moved set answer = given.answer::json
    from given where moved.pipeline = given.pipeline and moved.name = given.name
)
delete from flowstone.automation_fires as old
using kept cross join lateral (
    select fires.version from flowstone.automation_fires as fires
    where fires.pipeline = kept.pipeline and fires.name = kept.name
    order by fires.version desc offset $7 - 1 limit 1
) as last
where old.pipeline = kept.pipeline and old.name = kept.name and old.version <= last.version and not exists (
    select from flowstone.runs where runs.id = any(old.runs) and runs.finish_order is null
)
