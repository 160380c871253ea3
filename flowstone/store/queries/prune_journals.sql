delete from flowstone.journals where id in (
    select id from flowstone.journals where at < now() - interval '1 day' for update skip locked)
