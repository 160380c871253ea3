-- $1: nodes that seem to live. Unfinished runs whose owner is none of them, by pipeline.
select runs.pipeline, count(*) as runs
from flowstone.runs
where runs.finish_order is null and runs.owner is not null and runs.owner <> all ($1::text[])
group by runs.pipeline order by runs.pipeline
