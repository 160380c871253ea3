-- $1: for how many seconds; $2: whether trees as well.
select flowstone.watch_nodes($1, $2) as number
