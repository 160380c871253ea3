select extract(epoch from waits.deadline - clock_timestamp())::double precision as seconds from flowstone.waits
where waits.status = 'open' and waits.deadline is not null
order by waits.deadline limit 1
