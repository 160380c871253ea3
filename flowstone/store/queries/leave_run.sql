-- $1: the run, $2: the caller, or null for all those of a node, $3: their node, $4: whether the caller wants the run
-- cancelled if nobody else is left. Why it is to be cancelled, or null.
select flowstone.leave_run($1, $2, $3, $4)
