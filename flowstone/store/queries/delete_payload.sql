delete from flowstone.payloads where location = $1
