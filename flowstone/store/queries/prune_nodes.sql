-- A node that lives and is forgotten, because the clock was stepped by a day, joins again with its next beat.
delete from flowstone.nodes where id in (
    select id from flowstone.nodes where beat_at < clock_timestamp() - interval '1 day' for update skip locked)
