-- Unfinished runs whose owner is not alive, by pipeline.
select runs.pipeline, count(*) as runs
from flowstone.runs
where runs.finish_order is null and runs.owner is not null
    and not exists (select from flowstone.nodes where nodes.id = runs.owner and nodes.expires_at > clock_timestamp())
group by runs.pipeline order by runs.pipeline
