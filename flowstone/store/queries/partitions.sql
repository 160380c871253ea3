select key from flowstone.partition_keys where set = $1 order by position
