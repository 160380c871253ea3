-- $1: pipelines; $2: names, one of each. By what the last change of each is known, and what it led to.
select automations.pipeline, automations.name, automations.version, automations.token, automations.answer::text
from unnest($1::text[], $2::text[]) as given(pipeline, name)
join flowstone.automations on automations.pipeline = given.pipeline and automations.name = given.name
