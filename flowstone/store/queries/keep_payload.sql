insert into flowstone.payloads (location, content) values ($1, $2) on conflict do nothing
