delete from flowstone.runs where id = $1
