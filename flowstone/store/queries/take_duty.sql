-- $1: the duty, $2: a node, $3: the node that had it and is gone, or null. Who has it now.
insert into flowstone.duties as held (name, node) values ($1, $2)
on conflict (name) do update set node = case when held.node = $3 then excluded.node else held.node end
returning held.node
