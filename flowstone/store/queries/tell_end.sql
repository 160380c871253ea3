-- $1: a run, whose end is to be told to all nodes: whoever waits for it may be on any.
update flowstone.runs set submitted = true
where runs.id = $1 and runs.finish_order is null and not runs.submitted
