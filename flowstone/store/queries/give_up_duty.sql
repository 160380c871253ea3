-- $1: the duty, $2: the node that has it.
delete from flowstone.duties where name = $1 and node = $2
