-- $1: the run, $2: the caller, $3: its node, $4: whether it cancels the run if it leaves last, $5: runs that wait for this one.
select flowstone.want($1, $2, $3, $4, $5)
