-- Of each change $1: a pipeline; $2: a name; $3: the version that it was decided upon; $4: what these changes are known by.
-- What those led to that are made: it is the last change, or one that did something and that others have followed.
select given.pipeline, given.name, coalesce(fires.answer, automations.answer)::text as answer
from unnest($1::text[], $2::text[], $3::bigint[]) as given(pipeline, name, version)
join flowstone.automations on automations.pipeline = given.pipeline and automations.name = given.name
left join flowstone.automation_fires as fires on fires.pipeline = given.pipeline and fires.name = given.name
    and fires.version = given.version + 1
where automations.token = $4 or fires.token = $4
