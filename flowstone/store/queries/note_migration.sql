insert into flowstone.migrations (number, name) values ($1, $2)
