-- $1: runs. Those of them that nobody drives and that have not ended, and their pipelines.
select runs.id, runs.pipeline from flowstone.runs
where runs.id = any ($1::text[]) and runs.owner is null and runs.finish_order is null
order by runs.priority desc, runs.arrival
