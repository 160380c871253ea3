delete from flowstone.journals where at < now() - interval '1 day'
