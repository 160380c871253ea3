-- What automations were asked to do, each: $1: a pipeline; $2: a name; $3: by whom; $4: why.
insert into flowstone.audit (action, by, name, reason, details)
select 'automation.fired', given.by, given.name, given.reason, json_build_object('pipeline', given.pipeline)
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality as given(pipeline, name, by, reason, place)
order by given.place
