-- $1: runs, $2: a node. Those that somebody wants who is not on that node.
select distinct callers.run_id from flowstone.callers
where callers.run_id = any ($1::text[]) and callers.node <> $2 and not callers.gone
