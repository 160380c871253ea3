delete from flowstone.nodes where expires_at < clock_timestamp() - interval '1 day'
