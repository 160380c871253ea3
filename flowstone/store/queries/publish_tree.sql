update flowstone.nodes set tree = $2::json, tree_at = clock_timestamp() where id = $1
