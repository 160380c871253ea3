-- $1: pipelines; empty: all. $2: a name; null: all.
select pipeline, name, kind, definition, version, cursor::text, pending::text, paused, failures, failure::text, since, gone_at,
    pausing::text
from flowstone.automations
where (cardinality($1::text[]) = 0 or pipeline = any($1)) and ($2::text is null or name = $2)
order by pipeline, name
