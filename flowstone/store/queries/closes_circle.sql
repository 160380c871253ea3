-- $1: a run, $2: runs of which a step is about to wait for it.
select flowstone.closes_circle($1, $2)
