-- $1: finished runs that stay; $2: how many to take now. Those that finished first, and that nobody else is taking.
select runs.id from flowstone.runs
where runs.finish_order <= (
    select kept.finish_order from flowstone.runs as kept where kept.finish_order is not null
    order by kept.finish_order desc offset $1 limit 1)
order by runs.finish_order limit $2
for update skip locked
